// ---- time: what the snapshots say one after the other ----

const CHART = {w: 900, h: 170, left: 70, right: 12, top: 12, bottom: 24};

// Counters between a snapshot and the one before, for each second.
function rate(i, table, field) {
  if (i === 0) return 0;
  const sum = (shot) => rows(shot, table).reduce((s, row) => s + row[field], 0), dt = seconds(shots[i]) - seconds(shots[i - 1]);
  return dt > 0 ? Math.max(0, sum(shots[i]) - sum(shots[i - 1])) / dt : 0;
}

function frameOf(title, top, unit) {
  const c = CHART, svg = shape('svg', {viewBox: `0 0 ${c.w} ${c.h}`, width: '100%'});
  for (let i = 0; i <= 2; i++) {
    const y = c.top + (c.h - c.top - c.bottom) * i / 2;
    svg.append(shape('line', {x1: c.left, x2: c.w - c.right, y1: y, y2: y, stroke: fromStyle('--line')}),
      shape('text', {x: c.left - 6, y: y + 4, 'text-anchor': 'end', class: 'quiet'}, unit(top * (1 - i / 2))));
  }
  return svg;
}

const timeX = (i) => { const last = Math.max(1e-9, seconds(shots[shots.length - 1])); return CHART.left + (CHART.w - CHART.left - CHART.right) * (shots.length > 1 ? seconds(shots[i]) / last : 0.5); };
const valueY = (value, top) => CHART.top + (CHART.h - CHART.top - CHART.bottom) * (1 - value / (top || 1));

// Areas on top of each other, or one line; a line where the shown snapshot is.
function chart(title, layers, unit) {
  const n = shots.length, sums = new Array(n).fill(0);
  const top = Math.max(1e-9, ...shots.map((_, i) => layers.reduce((s, l) => s + l.values[i], 0)));
  const svg = frameOf(title, top, unit);
  for (const layer of layers) {
    const under = sums.map((v, i) => `${timeX(i)},${valueY(v, top)}`).reverse();
    layer.values.forEach((v, i) => { sums[i] += v; });
    const over = sums.map((v, i) => `${timeX(i)},${valueY(v, top)}`);
    svg.append(shape('polygon', {points: [...over, ...under].join(' '), fill: layer.colour, opacity: 0.85}));
    drawn.charts++;
  }
  const x = timeX(shownIndex);
  svg.append(shape('line', {x1: x, x2: x, y1: CHART.top, y2: CHART.h - CHART.bottom, stroke: fromStyle('--ink'), 'stroke-width': 1.5}));
  for (let i = 0; i < n; i += Math.ceil(n / 8)) svg.append(shape('text', {x: timeX(i), y: CHART.h - 6, 'text-anchor': 'middle', class: 'quiet'}, `${seconds(shots[i]).toFixed(2)} s`));
  svg.addEventListener('click', (event) => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * CHART.w;
    let best = 0;
    for (let i = 1; i < n; i++) if (Math.abs(timeX(i) - at) < Math.abs(timeX(best) - at)) best = i;
    show(best);
  });
  const legend = element('div', {class: 'legend'}, ...layers.map((l) => element('span', {}, swatch(l.colour), `${l.name}  ${unit(l.values[shownIndex])}`)));
  return element('div', {class: 'card'}, element('h2', {}, title), svg, legend);
}

function memoryLayers() {
  const states = [...new Set(shots.flatMap((shot) => Object.keys(totals(shot).state)))].filter((s) => s !== 'free').sort();
  return states.map((state) => ({name: state === 'reserved' ? 'kernel' : state, colour: fromStyle(PURPOSES[state] || '--kernel'),
    values: shots.map((shot) => totals(shot).state[state] || 0)}));
}

// A seam for events of a trace: {title, layers: [{name, colour, values: one for each snapshot}], unit}.
const eventCharts = [];

function paintTime() {
  const one = (name, colour, of) => [{name, colour: fromStyle(colour), values: shots.map((_, i) => of(i))}];
  const each = (v) => `${Math.round(v).toLocaleString('en')}/s`;
  drawn.charts = 0;
  $('charts').replaceChildren(
    chart('Memory in use', memoryLayers(), size),
    chart('Fragmentation: of what is free, in no free block of 2 MiB', one('fragmented', '--slab', (i) => fragmentation(shots[i])), (v) => `${v.toFixed(1)} %`),
    chart('Page faults', one('faults', '--user', (i) => rate(i, 'cpu', 'faults')), each),
    chart('Calls of the kernel', one('calls', '--object', (i) => rate(i, 'cpu', 'calls')), each),
    chart('Blocks of memory handed out', one('allocations', '--table', (i) => rate(i, 'untyped', 'allocations')), each),
    ...eventCharts.map((c) => chart(c.title, c.layers(), c.unit)));
}

// The strip under the slider: memory in use, whatever is shown.
function paintSpark() {
  const n = shots.length, values = shots.map((shot) => totals(shot).usable - (totals(shot).state.free || 0)), top = Math.max(1, ...values);
  const x = (i) => n > 1 ? 1000 * i / (n - 1) : 500;
  $('spark').setAttribute('viewBox', '0 0 1000 100');
  $('spark').replaceChildren(shape('polygon', {fill: fromStyle('--accent'), opacity: 0.22,
    points: `${x(0)},100 ${values.map((v, i) => `${x(i)},${100 - 92 * v / top}`).join(' ')} ${x(n - 1)},100`}));
}
