// Computes in the browser what a server computes otherwise: the model is model.onnx.

import * as ort from "./ort.wasm.min.mjs";
import { placed } from "./placed.js";
import { gray, inked, onWhite } from "./photo.js";
import { BILINEAR, resized } from "./resample.js";

const TOP = 5;
let described, session;

export async function about() {
  described = await (await fetch("about.json")).json();
  ort.env.wasm.numThreads = 1; // more need headers that plain file servers do not send
  session = await ort.InferenceSession.create("model.onnx");
  return described;
}

export async function recognize(blob, isDrawing) {
  const image = await read(blob, isDrawing);
  const [height, width, channels] = described.image_shape;
  const images = new ort.Tensor("uint8", image, [1, height, width, channels]);
  const { probabilities } = await session.run({ images });
  const classes = described.class_names.map((name, i) => ({ name, probability: probabilities.data[i] }));
  classes.sort((a, b) => b.probability - a.probability);
  const url = await urlOf(image, height, width, channels);
  return { image: url, classes: classes.slice(0, TOP), attention: null, mistakes: [] };
}

async function read(blob, isDrawing) {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new Error("this cannot be read: no image");
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const rgb = onWhite(context.getImageData(0, 0, width, height).data);
  const [rows, columns, channels] = described.image_shape;
  const pixels = channels === 1 ? gray(rgb) : rgb;
  if (height === rows && width === columns) return pixels;
  if (!described.draws) return fitted(pixels, height, width);
  const digit = placed(isDrawing ? pixels : inked(pixels, height, width), height, width, described.data);
  return digit.side === rows ? digit.pixels : fitted(digit.pixels, digit.side, digit.side);
}

function fitted(pixels, height, width) {
  const [rows, columns, channels] = described.image_shape;
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
  return length >= size ? Math.round((length - size) / 2) : -Math.floor((size - length) / 2);
}

async function urlOf(image, height, width, channels) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const shown = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) shown.data[4 * i + c] = image[channels === 1 ? i : channels * i + c];
    shown.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(shown, 0, 0);
  return canvas.toDataURL();
}
