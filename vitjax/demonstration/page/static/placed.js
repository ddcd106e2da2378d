// A digit placed as the data set has them; as drawings.py does it for the server.

import { BOX, resized } from "./resample.js";
import { even } from "./rounding.js";

// Ink uint8 [height, width], light on dark -> { side, pixels [side, side] }.
export function placed(ink, height, width, dataName) {
  const box = boxOf(ink, height, width);
  return (dataName === "digits" ? asScikitLearn : asMnist)(box);
}

function boxOf(ink, height, width) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      if (!ink[i * width + j]) continue;
      [top, bottom, left, right] = [Math.min(top, i), Math.max(bottom, i), Math.min(left, j), Math.max(right, j)];
    }
  }
  if (bottom < 0) return { rows: 1, columns: 1, pixels: new Uint8Array(1) };
  const [rows, columns] = [bottom - top + 1, right - left + 1];
  const pixels = new Uint8Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    pixels.set(ink.subarray((top + i) * width + left, (top + i) * width + right + 1), i * columns);
  }
  return { rows, columns, pixels };
}

function asMnist(digit) {
  const longer = Math.max(digit.rows, digit.columns);
  const [rows, columns] = [digit.rows, digit.columns].map((n) => Math.max(1, even((20 * n) / longer)));
  const pixels = resized(digit.pixels, digit.rows, digit.columns, 1, rows, columns, BOX);
  const middles = [0, 0];
  let total = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const value = pixels[i * columns + j];
      total += value;
      middles[0] += value * (i + 0.5);
      middles[1] += value * (j + 0.5);
    }
  }
  const [row, column] = total ? middles.map((sum) => sum / total) : [rows / 2, columns / 2];
  return onDark(pixels, rows, columns, 28, row, column);
}

function asScikitLearn(digit) {
  const columns = Math.min(Math.max(even((8 * digit.columns) / digit.rows), 5), 6);
  const pixels = resized(digit.pixels, digit.rows, digit.columns, 1, 8, columns, BOX);
  return onDark(pixels, 8, columns, 8, 4, columns / 2);
}

function onDark(digit, rows, columns, side, row, column) {
  const pixels = new Uint8Array(side * side);
  const top = Math.min(Math.max(even(side / 2 - row), 0), side - rows);
  const left = Math.min(Math.max(even(side / 2 - column), 0), side - columns);
  for (let i = 0; i < rows; i++) {
    pixels.set(digit.subarray(i * columns, (i + 1) * columns), (top + i) * side + left);
  }
  return { side, pixels };
}
