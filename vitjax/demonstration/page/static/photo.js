// Pixels of a canvas as the model takes them, and the ink of a photographed digit.

// RGBA -> RGB on white.
export function onWhite(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0; i < rgba.length / 4; i++) {
    const alpha = rgba[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = Math.round(rgba[4 * i + c] * alpha + 255 * (1 - alpha));
  }
  return rgb;
}

// RGB -> gray, by the integers that Pillow takes.
export function gray(rgb) {
  const found = new Uint8Array(rgb.length / 3);
  for (let i = 0; i < found.length; i++) {
    found[i] = (19595 * rgb[3 * i] + 38470 * rgb[3 * i + 1] + 7471 * rgb[3 * i + 2] + 0x8000) >> 16;
  }
  return found;
}

// A photograph of a digit [height, width] -> its ink, light on dark; as drawings.inked.
export function inked(photo, height, width) {
  const border = [];
  for (let i = 0; i < height; i++) border.push(photo[i * width], photo[i * width + width - 1]);
  for (let j = 0; j < width; j++) border.push(photo[j], photo[(height - 1) * width + j]);
  const paper = quantile(border, 0.5);
  const mean = border.reduce((sum, x) => sum + x, 0) / border.length;
  const noise = Math.sqrt(border.reduce((sum, x) => sum + (x - mean) ** 2, 0) / border.length);
  const ink = Float32Array.from(photo, (x) => (paper < 128 ? x - paper : paper - x));
  const strongest = Math.max(quantile(ink, 0.995), 1);
  const least = Math.max(3 * noise, strongest / 4);
  return Uint8Array.from(ink, (x) => (x < least ? 0 : Math.trunc(Math.min(x / strongest, 1) * 255)));
}

// As NumPy's: between two values in proportion.
function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)];
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}
