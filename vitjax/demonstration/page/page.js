// What the page does: brings drawings and images to the model, and shows its answer.

import { Pad } from "./pad.js";
import * as model from "./remote.js";

const $ = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
let last = null; // the answer that is shown
let running = null; // what stops the request that is under way
let next = null; // what is asked after it; only the newest counts

function ask(source) {
  next = source;
  if (!running) work();
}

async function work() {
  while (next) {
    const { blob, isDrawing } = next;
    next = null;
    running = new AbortController();
    try {
      const content = await blob();
      show(content ? await model.recognize(content, isDrawing, running.signal) : null);
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    }
    running = null;
  }
}

function say(text, isError = false) {
  $("spoken").textContent = text;
  $("spoken").classList.toggle("error", isError);
}

function show(answer) {
  last = answer;
  $("found").hidden = !answer;
  $("mistakes").hidden = !answer?.mistakes?.length;
  if (!answer) return say("Nothing was shown yet.");
  const best = answer.classes[0];
  say(`${best.name}, ${percent(best.probability)}`);
  $("classes").replaceChildren(...answer.classes.map(row));
  $("mistake-list").replaceChildren(...(answer.mistakes ?? []).map(mistake));
  paintSeen();
}

function element(name, text = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(text);
  return made;
}

function row({ name, probability }) {
  const item = element("li");
  const meter = element("meter", "", { value: probability, ariaHidden: "true" });
  item.append(element("span", name), element("span", percent(probability)), meter);
  return item;
}

function mistake({ image, truth, predicted }) {
  const item = element("li");
  item.append(
    element("img", "", { src: image, alt: `${truth}, taken for ${predicted}` }),
    element("span", `${truth}, taken for ${predicted}`, { className: "quiet" }),
  );
  return item;
}

async function paintSeen() {
  const answer = last;
  const image = new Image();
  image.src = answer.image;
  await image.decode();
  if (answer !== last) return;
  const canvas = $("seen");
  const scale = Math.max(1, Math.ceil(320 / image.width));
  canvas.width = scale * image.width;
  canvas.height = scale * image.height;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (answer.attention && $("attention").checked) paintAttention(context, answer.attention);
}

function paintAttention(context, map) {
  const strongest = Math.max(...map.flat()) || 1;
  const [height, width] = [context.canvas.height / map.length, context.canvas.width / map[0].length];
  map.forEach((line, i) => line.forEach((value, j) => {
    context.fillStyle = `rgba(255, 140, 0, ${(0.75 * value) / strongest})`;
    context.fillRect(Math.round(j * width), Math.round(i * height), Math.ceil(width), Math.ceil(height));
  }));
}

function askAbout(file) {
  if (file) ask({ blob: async () => file, isDrawing: false });
}

function listen(pad) {
  $("undo").addEventListener("click", () => pad.undo());
  $("clear").addEventListener("click", () => pad.clear());
  $("attention").addEventListener("change", () => last && paintSeen());
  for (const id of ["file", "camera"]) {
    $(id).addEventListener("change", (event) => {
      askAbout(event.target.files[0]);
      event.target.value = ""; // so that the same file can be chosen again
    });
  }
  const isOver = (over) => $("drop").classList.toggle("over", over);
  document.addEventListener("dragover", (event) => { event.preventDefault(); isOver(true); });
  document.addEventListener("dragleave", () => isOver(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    isOver(false);
    askAbout(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => askAbout(event.clipboardData.files[0]));
}

async function start() {
  const about = await model.about();
  const accuracy = about.accuracy === null ? "" : `, ${percent(about.accuracy)} right on its test split`;
  const size = about.num_params ? ` of ${about.num_params.toLocaleString("en")} parameters` : "";
  $("about").textContent = `${about.model}${size}, trained on ${about.data}${accuracy}. ${about.note ?? ""}`;
  $("draw").hidden = !about.draws;
  $("look").hidden = !about.has_attention;
  const pad = new Pad($("pad"), () =>
    ask({ blob: async () => (pad.isEmpty ? null : pad.toBlob()), isDrawing: true }));
  listen(pad);
  document.body.dataset.ready = "true";
}

start().catch((error) => say(error.message, true));
