// Boxes with captions, and maps of similar cells.
const VIRIDIS = [
  [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
  [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37],
];

export function viridis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((value, i) => Math.round(value + (at - low) * (VIRIDIS[low + 1][i] - value)));
}

function ink(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 120 ? "#000" : "#fff";
}

function caption(one, wants) {
  const parts = [];
  if (wants.has("names")) parts.push(one.label);
  if (wants.has("ids") && one.id) parts.push(`#${one.id}`);
  if (wants.has("scores")) parts.push(one.score.toFixed(2));
  return parts.join(" ");
}

function overlaps(a, taken) {
  return taken.some((b) => a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]);
}

// unit: image pixels of one CSS pixel, so that lines and letters keep their size on every screen.
export function drawThings(context, things, wants, unit, width, height) {
  const sorted = [...things].sort((a, b) => b.score - a.score);
  if (wants.has("boxes")) {
    for (const { box: [x0, y0, x1, y1], colour } of sorted) {
      context.strokeStyle = "rgba(0,0,0,.65)";
      context.lineWidth = 4 * unit;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      context.strokeStyle = colour;
      context.lineWidth = 2 * unit;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }
  const taken = [];
  const line = 17 * unit;
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const one of sorted) {
    const text = caption(one, wants);
    if (!text) continue;
    const long = Math.min(context.measureText(text).width + 8 * unit, width);
    const [x0, y0, , y1] = one.box;
    const left = Math.min(Math.max(x0 - unit, 0), width - long);
    const tops = [y0 - line, y0 + unit, y1, y1 - line, y0 + line].filter((top) => top >= 0 && top + line <= height);
    const top = tops.find((each) => !overlaps([left, each, long, line], taken));
    if (top === undefined) continue;
    taken.push([left, top, long, line]);
    context.fillStyle = one.colour;
    context.fillRect(left, top, long, line);
    context.fillStyle = ink(one.colour);
    context.fillText(text, left + 4 * unit, top + line / 2 + unit / 2, long - 6 * unit);
  }
}

// A map over the whole image; with ``neighbours`` the cells above the threshold shine and the rest is dark.
export function drawCells(context, cells, { neighbours, unit, width, height }) {
  const { grid: { rows, columns, map: [sx, sy, ox, oy] }, values, low, high, threshold } = cells;
  const picture = new ImageData(columns, rows);
  const limit = high > low ? (255 * (threshold - low)) / (high - low) : 0;
  for (let i = 0; i < values.length; i++) {
    const colour = neighbours ? (values[i] >= limit ? [0, 158, 115, 70] : [0, 0, 0, 165]) : [...viridis(values[i] / 255), 190];
    picture.data.set(colour, 4 * i);
  }
  const small = new OffscreenCanvas(columns, rows);
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = !neighbours;
  context.drawImage(small, ox + 0.5 - sx / 2, oy + 0.5 - sy / 2, columns * sx, rows * sy);
  context.imageSmoothingEnabled = true;
  if (neighbours) return;
  const [row, column] = cells.cell;
  for (const [colour, thick] of [["#000", 4], ["#fff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick * unit;
    context.strokeRect(column * sx + ox + 0.5 - sx / 2, row * sy + oy + 0.5 - sy / 2, sx, sy);
  }
  drawScale(context, low, high, unit, width, height);
}

function drawScale(context, low, high, unit, width, height) {
  const long = Math.min(140 * unit, width * 0.4);
  const x = 10 * unit;
  const y = height - 16 * unit;
  context.fillStyle = "rgba(0,0,0,.7)";
  context.fillRect(x - 6 * unit, y - 20 * unit, long + 12 * unit, 32 * unit);
  for (let i = 0; i < 40; i++) {
    context.fillStyle = `rgb(${viridis(i / 39).join(",")})`;
    context.fillRect(x + (long * i) / 40, y, long / 40 + unit / 2, 8 * unit);
  }
  context.fillStyle = "#fff";
  context.font = `${11 * unit}px system-ui, sans-serif`;
  context.textBaseline = "alphabetic";
  context.fillText(low.toFixed(2), x, y - 5 * unit);
  context.fillText("cosine", x + long / 2 - 16 * unit, y - 5 * unit);
  const end = high.toFixed(2);
  context.fillText(end, x + long - context.measureText(end).width, y - 5 * unit);
}
