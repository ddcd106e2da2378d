// A canvas to draw on, by pointer or keyboard. Strokes are lists of points in its own pixels.

const WIDTH = 22; // of the pen, of 280: about that of MNIST's digits
const STEP = 10; // that an arrow key moves

export class Pad {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.onChange = onChange;
    this.strokes = [];
    this.cursor = [canvas.width / 2, canvas.height / 2];
    this.penDown = false;
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.extend(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.end(event));
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.paint());
    canvas.addEventListener("blur", () => this.paint());
    this.paint();
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  begin(event) {
    if (event.button > 0 || this.pointer !== null) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.strokes.push([this.place(event)]);
    this.changed();
  }

  extend(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length ? events : [event]) this.strokes.at(-1).push(this.place(each));
    this.changed();
  }

  end(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.changed();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / this.canvas.clientWidth;
    const x = event.clientX - box.left - this.canvas.clientLeft;
    const y = event.clientY - box.top - this.canvas.clientTop;
    return [x * scale, y * scale];
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in moves) {
      const limits = [this.canvas.width, this.canvas.height];
      const move = (value, i) => Math.min(Math.max(value + STEP * moves[event.key][i], 0), limits[i]);
      this.cursor = this.cursor.map(move);
      if (this.penDown) this.strokes.at(-1).push([...this.cursor]);
    } else if (event.key === " ") {
      this.penDown = !this.penDown;
      if (this.penDown) this.strokes.push([[...this.cursor]]);
    } else if (event.key === "Backspace") {
      this.undo();
    } else if (event.key === "Escape") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.changed();
  }

  undo() {
    this.penDown = false;
    this.strokes.pop();
    this.changed();
  }

  clear() {
    this.penDown = false;
    this.strokes = [];
    this.changed();
  }

  changed() {
    this.paint();
    this.onChange();
  }

  paint() {
    this.ink(this.context);
    if (document.activeElement === this.canvas && this.canvas.matches(":focus-visible")) {
      this.context.fillStyle = this.penDown ? "#ff7b72" : "#7db4ff";
      this.context.fillRect(this.cursor[0] - 3, this.cursor[1] - 3, 6, 6);
    }
  }

  ink(context) {
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    Object.assign(context, { lineWidth: WIDTH, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    for (const [first, ...others] of this.strokes) {
      context.beginPath();
      context.moveTo(...first);
      for (const point of others.length ? others : [first]) context.lineTo(...point);
      context.stroke();
    }
  }

  toBlob() {
    const copy = document.createElement("canvas");
    copy.width = this.canvas.width;
    copy.height = this.canvas.height;
    this.ink(copy.getContext("2d"));
    return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
  }
}
