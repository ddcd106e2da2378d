// An image as the model takes it; as recognizer.py and readers/pixels.py do it for the server.

import { gray, inked } from "./photo.js";
import { placed } from "./placed.js";
import { BILINEAR, resized } from "./resample.js";
import { even } from "./rounding.js";

// Pixels uint8 [height, width, 3] -> [rows, columns, channels], of the described run's image_shape.
export function taken(rgb, height, width, isDrawing, described) {
  const [rows, columns, channels] = described.image_shape;
  const pixels = channels === 1 ? gray(rgb) : rgb;
  if (!described.draws || (height === rows && width === columns)) return fitted(pixels, height, width, described);
  const digit = placed(isDrawing ? pixels : inked(pixels, height, width), height, width, described.data);
  return fitted(digit.pixels, digit.side, digit.side, described);
}

function fitted(pixels, height, width, described) {
  const [rows, columns, channels] = described.image_shape;
  if (height === rows && width === columns) return pixels;
  if (described.fit !== "center_crop") {
    return resized(pixels, height, width, channels, rows, columns, BILINEAR);
  }
  const found = new Uint8Array(rows * columns * channels);
  const [top, left] = [offset(height, rows), offset(width, columns)];
  for (let i = Math.max(0, -top); i < rows && i + top < height; i++) {
    for (let j = Math.max(0, -left); j < columns && j + left < width; j++) {
      for (let c = 0; c < channels; c++) {
        found[(i * columns + j) * channels + c] = pixels[((i + top) * width + j + left) * channels + c];
      }
    }
  }
  return found;
}

function offset(length, size) {
  return length >= size ? even((length - size) / 2) : -Math.floor((size - length) / 2);
}
