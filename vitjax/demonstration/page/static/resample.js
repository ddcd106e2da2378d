// Images resized as Pillow does it: along rows, then along columns, rounded after each.

export const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
export const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

// Pixels uint8 [height, width, channels] -> [rows, columns, channels].
export function resized(pixels, height, width, channels, rows, columns, filter) {
  const wide = along(pixels, height, width, channels, columns, filter);
  const turned = turn(wide, height, columns, channels);
  return turn(along(turned, columns, height, channels, rows, filter), columns, rows, channels);
}

function along(pixels, height, width, channels, columns, filter) {
  if (width === columns) return pixels;
  const found = new Uint8Array(height * columns * channels);
  for (let j = 0; j < columns; j++) {
    const { start, weights } = taps(j, width / columns, width, filter);
    for (let i = 0; i < height; i++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        weights.forEach((weight, k) => { sum += weight * pixels[(i * width + start + k) * channels + c]; });
        found[(i * columns + j) * channels + c] = Math.min(255, Math.max(0, Math.floor(sum + 0.5)));
      }
    }
  }
  return found;
}

function taps(place, scale, length, filter) {
  const [stretch, centre] = [Math.max(scale, 1), (place + 0.5) * scale];
  const support = filter.support * stretch;
  const start = Math.max(0, Math.trunc(centre - support + 0.5));
  const end = Math.min(length, Math.trunc(centre + support + 0.5));
  const weights = [];
  for (let k = start; k < end; k++) weights.push(filter.weight((k - centre + 0.5) / stretch));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { start, weights: weights.map((weight) => weight / total) };
}

function turn(pixels, height, width, channels) {
  const found = new Uint8Array(pixels.length);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      for (let c = 0; c < channels; c++) {
        found[(j * height + i) * channels + c] = pixels[(i * width + j) * channels + c];
      }
    }
  }
  return found;
}
