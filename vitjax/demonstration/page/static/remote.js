// Computes in the browser what a server computes otherwise: the model is model.onnx.

import * as ort from "./ort.wasm.min.mjs";
import { onWhite } from "./photo.js";
import { taken } from "./taken.js";

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
  return taken(rgb, height, width, isDrawing, described);
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
