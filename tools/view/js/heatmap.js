// ---- heat map: all RAM, row by row, down to a frame ----
//
// A cell stands for one frame or 2^n of them, and shows up to three of what is most in it, in proportion. Cells get
// smaller or stand for more, so that there are at most CELLS of them: 3 * CELLS + labels elements at any zoom.

const CELLS = 15000;
const LABELS = 92; // pixels left of the cells
const SMALLEST = 6; // pixels of a cell

const map = {from: 0, span: 0, by: 'purpose', selected: -1, found: null, layout: null};

function mapWindow() {
  const total = runs(current()).total;
  if (!map.span || map.span > total) map.span = total;
  map.span = Math.max(Math.min(64, total), map.span);
  map.from = Math.max(0, Math.min(total - map.span, map.from));
}

// The widest row that fits and begins at round places: 2^n or 3 * 2^n cells.
function roundColumns(most) {
  const power = 2 ** Math.floor(Math.log2(Math.max(1, most)));
  return power * 1.5 <= most && power > 1 ? power * 1.5 : power;
}

// Cells of the window: frames of each, how many stand in a row, their width and height.
function mapLayout(width, height) {
  const wide = Math.max(1, width - LABELS);
  for (let frames = 1; ; frames *= 2) {
    const cells = Math.ceil(map.span / frames);
    const columns = Math.min(roundColumns(wide / SMALLEST), roundColumns(1.2 * Math.sqrt(cells * wide / height)));
    const rows = Math.ceil(cells / columns);
    if ((cells > CELLS || rows * SMALLEST > height) && cells > 1) continue;
    return {frames, cells, columns, w: Math.floor(wide / columns), h: Math.min(60, Math.floor(height / rows)),
      first: Math.floor(map.from / frames) * frames};
  }
}

const cellAt = (layout, i) => ({x: LABELS + (i % layout.columns) * layout.w, y: Math.floor(i / layout.columns) * layout.h});

function sizeCanvas(canvas) {
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return [context, box.width, box.height];
}

// What is in [from, to), the most first: [key, frames]; the last run of it; whether one of them is looked for.
function mixOf(r, colour, from, to, start) {
  const counts = new Map();
  let k = start, found = false;
  for (; k < r.n && r.at[k] < to; k++) {
    const some = Math.min(r.at[k + 1], to) - Math.max(r.at[k], from), key = colour.key(r, k);
    if (some <= 0) continue;
    counts.set(key, (counts.get(key) || 0) + some);
    found = found || (map.found !== null && map.found(r, k));
  }
  return [[...counts].sort((a, b) => b[1] - a[1]), Math.max(start, k - 1), found];
}

function paintMap() {
  const shot = current(), r = runs(shot), colour = COLOURS[map.by];
  mapWindow();
  const [context, width, height] = sizeCanvas($('map'));
  const layout = map.layout = mapLayout(width, height), palette = new Map();
  const paint = (key) => { if (!palette.has(key)) palette.set(key, colour.colour(key)); return palette.get(key); };
  let k = runAt(r, layout.first);
  drawn.map = 0;
  context.clearRect(0, 0, width, height);
  context.font = '11px ui-monospace, "DejaVu Sans Mono", monospace';
  for (let i = 0; i < layout.cells; i++) {
    const from = layout.first + i * layout.frames, to = Math.min(from + layout.frames, r.total), {x, y} = cellAt(layout, i);
    if (to <= from) break;
    let mix, found;
    [mix, k, found] = mixOf(r, colour, from, to, k);
    paintCell(context, mix.slice(0, 3), paint, x, y, layout);
    if (found) outline(context, fromStyle('--accent'), x, y, layout.w - 1, layout.h - 1);
    if (i % layout.columns === 0) label(context, r, from, y, layout);
    if (layout.w >= 46 && layout.h >= 16) nameCell(context, frameAt(r, from), x, y);
  }
  if (map.selected >= layout.first && map.selected < layout.first + layout.cells * layout.frames) {
    const {x, y} = cellAt(layout, Math.floor((map.selected - layout.first) / layout.frames));
    outline(context, fromStyle('--ink'), x - 1, y - 1, layout.w + 1, layout.h + 1);
  }
  $('window').textContent = `${size(map.span * PAGE)} from ${hex(frameAt(r, map.from) * PAGE)}, a cell is ${size(layout.frames * PAGE)}`;
  paintOverview(r, paint, colour);
  paintLegend(shot, r, colour, paint);
}

function paintCell(context, mix, paint, x, y, layout) {
  const w = layout.w - 1, h = layout.h - 1;
  let all = 0, done = 0;
  for (const [, count] of mix) all += count;
  for (const [key, count] of mix) {
    context.fillStyle = paint(key);
    context.fillRect(x, y + h * done / all, w, h * count / all);
    done += count;
    drawn.map++;
  }
}

function outline(context, colour, x, y, w, h) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(x + 1, y + 1, w - 2, h - 2);
  drawn.map++;
}

// Cells that are large enough carry the number of their first frame.
function nameCell(context, frame, x, y) {
  context.fillStyle = fromStyle('--ink');
  context.fillText(String(frame), x + 4, y + 13);
  drawn.map++;
}

const frameAt = (r, place) => { const k = runAt(r, place); return r.frame[k] + Math.floor(place) - r.at[k]; };

function label(context, r, from, y, layout) {
  const row = Math.floor(y / layout.h), every = Math.ceil(15 / layout.h);
  if (row % every) return;
  context.fillStyle = fromStyle('--quiet');
  context.fillText(hex(frameAt(r, from) * PAGE), 0, y + Math.max(9, Math.min(layout.h, 13) - 1));
  drawn.map++;
}

// The whole of it in a strip, the window in it framed.
function paintOverview(r, paint, colour) {
  const [context, width, height] = sizeCanvas($('overview'));
  const columns = Math.min(Math.floor(width / 2), 1000), step = width / columns;
  let k = 0;
  for (let i = 0; i < columns; i++) {
    let mix;
    [mix, k] = mixOf(r, colour, i * r.total / columns, (i + 1) * r.total / columns, k);
    if (!mix.length) continue;
    context.fillStyle = paint(mix[0][0]);
    context.fillRect(i * step, 0, step + 0.5, height);
    drawn.map++;
  }
  context.strokeStyle = fromStyle('--ink');
  context.lineWidth = 2;
  context.strokeRect(map.from / r.total * width + 1, 1, Math.max(3, map.span / r.total * width - 2), height - 2);
}

function paintLegend(shot, r, colour, paint) {
  const [mix] = mixOf(r, colour, map.from, map.from + map.span, runAt(r, map.from));
  $('legend').replaceChildren(...mix.slice(0, 24).map(([key, count]) =>
    element('span', {}, swatch(paint(key)), `${colour.name(key, shot)}  ${size(Math.round(count) * PAGE)}`)));
}

// ---- going about in it ----

function zoomMap(factor, place) {
  mapWindow();
  const seen = map.selected >= map.from && map.selected < map.from + map.span;
  const at = place !== undefined ? place : seen ? map.selected : map.from + map.span / 2, part = (at - map.from) / map.span;
  map.span = Math.max(64, Math.min(runs(current()).total, Math.round(map.span * factor)));
  map.from = Math.round(at - part * map.span);
  paintMap();
}

function panMap(part) {
  map.from = Math.round(map.from + part * map.span);
  paintMap();
}

function showPlace(place, span) {
  map.selected = place;
  if (span) { map.span = span; map.from = Math.round(place - span / 2); }
  if (place < map.from || place >= map.from + map.span) map.from = Math.round(place - map.span / 2);
  paintMap();
  describePlace(place);
}

function describePlace(place) {
  const shot = current(), r = runs(shot), k = runAt(r, place), frame = frameAt(r, place), order = r.order[k];
  const reserved = nameOf('states', r.state[k]) === 'reserved';
  describe(`frame ${frame}`, [
    ['address', hex(frame * PAGE)], ['purpose', purposeOf(r, k)], ['owner', reserved ? 'kernel' : ownerName(shot, r.owner[k])],
    ['node', r.node[k]], ['block', reserved ? '-' : `${size(PAGE * 2 ** order)} (order ${order})`],
    ['run', `${r.pages[k]} frames`], ['run from', hex(r.frame[k] * PAGE)], ['run to', hex((r.frame[k] + r.pages[k]) * PAGE)],
    ['memory map', nameOf('uses', r.use[k])]]);
}

function placeUnder(event) {
  const box = $('map').getBoundingClientRect(), layout = map.layout;
  const column = Math.floor((event.clientX - box.left - LABELS) / layout.w), row = Math.floor((event.clientY - box.top) / layout.h);
  if (column < 0 || column >= layout.columns) return -1;
  const place = layout.first + (row * layout.columns + column) * layout.frames;
  return place < runs(current()).total ? Math.max(0, place) : -1;
}

function mapBegin() {
  const canvas = $('map');
  let drag = null;
  for (const by of Object.keys(COLOURS))
    $('colour').append(element('button', {type: 'button', role: 'radio', 'data-by': by, onclick: () => { map.by = by; paintMapChoice(); paintMap(); }}, COLOURS[by].title));
  paintMapChoice();
  canvas.addEventListener('wheel', (event) => {
    const place = placeUnder(event);
    event.preventDefault();
    if (place >= 0) zoomMap(event.deltaY > 0 ? 1.5 : 1 / 1.5, place);
  }, {passive: false});
  canvas.addEventListener('pointerdown', (event) => { drag = {y: event.clientY, from: map.from, moved: false}; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener('pointermove', (event) => {
    if (!drag) return;
    const moved = Math.round((drag.y - event.clientY) / map.layout.h) * map.layout.columns * map.layout.frames;
    if (moved) { drag.moved = true; map.from = drag.from + moved; paintMap(); }
  });
  canvas.addEventListener('pointerup', (event) => {
    const place = placeUnder(event);
    if (drag && !drag.moved && place >= 0) showPlace(place);
    drag = null;
  });
  canvas.addEventListener('dblclick', (event) => { const place = placeUnder(event); if (place >= 0) zoomMap(1 / 4, place); });
  $('overview').addEventListener('click', (event) => {
    const box = $('overview').getBoundingClientRect();
    map.from = Math.round((event.clientX - box.left) / box.width * runs(current()).total - map.span / 2);
    paintMap();
  });
  $('zoom-in').onclick = () => zoomMap(0.5);
  $('zoom-out').onclick = () => zoomMap(2);
  $('zoom-all').onclick = () => { map.span = 0; paintMap(); };
}

function paintMapChoice() {
  for (const button of $('colour').children) button.setAttribute('aria-checked', String(button.dataset.by === map.by));
}
