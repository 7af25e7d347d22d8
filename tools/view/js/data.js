// ---- data: snapshots as columns of numbers, and what follows from them ----

const PAGE = 4096;
const $ = (id) => document.getElementById(id);

const holder = $('snapshots');
const doc = JSON.parse(holder.textContent);
const isLive = holder.dataset.live === 'true';
const shots = doc.snapshots;

const nameOf = (kind, number) => (doc.names[kind] || {})[number] || String(number);

// Rows of a table as objects; tables of runs have columns of their own.
function rows(shot, table) {
  shot.parsed = shot.parsed || {};
  if (!shot.parsed[table]) {
    const found = shot.tables[table] || {fields: [], rows: []};
    shot.parsed[table] = found.rows.map((row) => Object.fromEntries(found.fields.map((f, i) => [f, row[i]])));
  }
  return shot.parsed[table];
}

// Runs as typed arrays. `at`: where the run begins if all RAM is put together, holes left out.
function runs(shot) {
  if (shot.runs) return shot.runs;
  const table = shot.tables.run, n = table.rows.length;
  const columns = {n, at: new Float64Array(n + 1)};
  for (const field of ['frame', 'pages', 'state', 'use', 'order', 'owner', 'node']) {
    const i = table.fields.indexOf(field), column = new Float64Array(n);
    for (let k = 0; k < n; k++) column[k] = table.rows[k][i];
    columns[field] = column;
  }
  for (let k = 0; k < n; k++) columns.at[k + 1] = columns.at[k] + columns.pages[k];
  columns.total = columns.at[n];
  return shot.runs = columns;
}

// The run that holds a place: the last that begins at or before it.
function runAt(r, place) {
  let low = 0, high = r.n - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (r.at[middle] <= place) low = middle; else high = middle - 1;
  }
  return low;
}

// The place of a frame's number; -1: it is no RAM.
function placeOf(r, frame) {
  let low = 0, high = r.n - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (r.frame[middle] <= frame) low = middle; else high = middle - 1;
  }
  const inside = frame - r.frame[low];
  return inside >= 0 && inside < r.pages[low] ? r.at[low] + inside : -1;
}

// What a frame is for, in a word: its state, or the use of what no arena has.
function purposeOf(r, k) {
  const state = nameOf('states', r.state[k]);
  return state === 'reserved' ? nameOf('uses', r.use[k]) : state;
}

function ownerName(shot, owner) {
  if (!owner) return 'no untyped';
  const process = rows(shot, 'process').find((p) => p.budget === owner);
  return process ? `${process.name} (${owner})` : `untyped ${owner}`;
}

// Sums of a snapshot; and, as sentences, what does not add up. tools/view/snapshots.py does the same.
const COUNTED = {'free': 'free_bytes', 'object': 'object_bytes', 'slab': 'slab_bytes', 'table': 'table_bytes',
  'user': 'frame_bytes', 'metadata': 'metadata_bytes', "in a CPU's cache": 'cache_bytes'};

function totals(shot) {
  if (shot.totals) return shot.totals;
  const r = runs(shot), sums = {state: {}, use: {}, owner: {}, orders: {}, wrong: []};
  const add = (object, key, bytes) => { object[key] = (object[key] || 0) + bytes; };
  for (let k = 0; k < r.n; k++) {
    const bytes = r.pages[k] * PAGE, state = nameOf('states', r.state[k]);
    add(sums.state, state, bytes);
    add(sums.use, nameOf('uses', r.use[k]), bytes);
    if (r.owner[k]) add(sums.owner[r.owner[k]] = sums.owner[r.owner[k]] || {}, state, bytes);
    if (state === 'free') {
      const orders = sums.orders[r.owner[k]] = sums.orders[r.owner[k]] || new Array(19).fill(0);
      orders[r.order[k]] += r.pages[k] / 2 ** r.order[k];
    }
  }
  sums.usable = rows(shot, 'machine')[0].usable_bytes;
  let all = 0, parts = 0;
  for (const bytes of Object.values(sums.use)) all += bytes;
  for (const use of rows(shot, 'use')) {
    const name = nameOf('uses', use.use);
    if (name === 'part of a page') parts = use.bytes;
    else if ((sums.use[name] || 0) !== use.bytes) sums.wrong.push(`${name}: ${sums.use[name] || 0} bytes in runs, ${use.bytes} by the memory map`);
  }
  if (all + parts !== sums.usable) sums.wrong.push(`runs of ${all} bytes are not the ${sums.usable} of RAM`);
  const carved = {};
  for (const u of rows(shot, 'untyped')) add(carved, u.parent, u.total_bytes);
  for (const u of rows(shot, 'untyped')) {
    const has = sums.owner[u.untyped] || {};
    for (const [state, field] of Object.entries(COUNTED))
      if ((has[state] || 0) !== u[field]) sums.wrong.push(`untyped ${u.untyped}: ${has[state] || 0} bytes ${state} in runs, its arena counts ${u[field]}`);
    if ((carved[u.untyped] || 0) !== u.child_bytes) sums.wrong.push(`untyped ${u.untyped}: ${carved[u.untyped] || 0} bytes carved out, its arena counts ${u.child_bytes}`);
  }
  return shot.totals = sums;
}

// Of what is free, the part that is in no free block of 2 MiB, in percent.
function fragmentation(shot) {
  let free = 0, large = 0;
  for (const u of rows(shot, 'untyped')) { free += u.free_bytes; large += u.large_bytes; }
  return free ? 100 * (1 - large / free) : 0;
}

// Regions of each space, with its sums.
function spacesOf(shot) {
  const all = new Map();
  for (const space of rows(shot, 'space')) all.set(space.space, {...space, regions: [], sums: {}});
  for (const region of rows(shot, 'region')) {
    const space = all.get(region.space);
    if (!space) continue;
    if (region.start) space.regions.push(region);
    for (const field of ['resident', 'private_bytes', 'shared_bytes', 'proportional', 'large', 'huge', 'swapped', 'tables', 'shared_tables'])
      space.sums[field] = (space.sums[field] || 0) + region[field];
  }
  for (const process of rows(shot, 'process'))
    if (all.has(process.space)) Object.assign(all.get(process.space), {name: process.name, compressed: process.compressed || 0, onDisk: process.on_disk || 0});
  return [...all.values()];
}

// ---- text ----

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0, rest = Math.abs(bytes);
  while (rest >= 1024 && unit < 4) { rest /= 1024; unit++; }
  return (bytes < 0 ? '−' : '') + (Number.isInteger(rest) || unit === 0 ? rest : rest.toFixed(1)) + ' ' + units[unit];
}
const hex = (number) => '0x' + number.toString(16);
const seconds = (shot) => (shot.now_ns - shots[0].now_ns) / 1e9;
