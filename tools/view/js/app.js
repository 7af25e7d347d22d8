// ---- the page: tabs, search, keys, time, theme, live ----

let shownIndex = shots.length - 1, shownTab = 0;
const current = () => shots[shownIndex];

const TABS = [['view-map', paintMap], ['view-untypeds', paintTreemap], ['view-spaces', paintSpaces],
  ['view-time', paintTime], ['view-changes', paintChanges], ['view-tables', paintTables]];

const KEYS = [['1 … 6', 'pictures'], ['[  ]', 'snapshot before, next'], ['arrows', 'move in memory'], ['+  −  0', 'zoom in, out, all'],
  ['Enter', 'zoom to what is selected'], ['c', 'colour by the next property'], ['/', 'search'], ['t', 'light or dark'], ['p', 'print'], ['?', 'this list']];

function paint() {
  if (!shots.length) {
    $('machine').textContent = 'waits for the first snapshot';
    return;
  }
  const shot = current();
  $('machine').textContent = `${shot.machine}, ${size(rows(shot, 'machine')[0].usable_bytes)}, ${rows(shot, 'machine')[0].cpus} CPUs`;
  $('slider').max = shots.length - 1;
  $('slider').value = shownIndex;
  $('when').textContent = `${shownIndex + 1} of ${shots.length}, ${seconds(shot).toFixed(2)} s: ${shot.label}`;
  paintSpark();
  if (map.selected < 0 && !$('details').querySelector('[data-kept]')) describeAll(shot);
  TABS[shownTab][1]();
}

// What stands at the side as long as nothing is selected.
function describeAll(shot) {
  const sums = totals(shot), machine = rows(shot, 'machine')[0];
  describe('The machine', [['RAM', size(sums.usable)],
    ...Object.entries(sums.state).sort((a, b) => b[1] - a[1]).map(([state, bytes]) => [state === 'reserved' ? 'kernel and firmware' : state, size(bytes)]),
    ['fragmented', `${fragmentation(shot).toFixed(1)} %`], ['largest free block', size(Math.max(0, ...rows(shot, 'untyped').filter((u) => u.free_bytes).map((u) => PAGE * 2 ** u.largest_order)))],
    ['CPUs', machine.cpus], ['nodes', machine.nodes], ['spaces', rows(shot, 'space').length], ['untypeds', rows(shot, 'untyped').length],
    ['page faults', machine.faults], ['calls', machine.calls]]);
  $('details').append(element('p', {class: sums.wrong.length ? 'wrong' : 'right'}, sums.wrong.length ? `${sums.wrong.length} sums differ: see Tables` : 'Every byte adds up.'),
    element('p', {class: 'quiet'}, 'Click a cell for its frame, turn the wheel to zoom; ? lists keys.'));
}

function show(index) {
  shownIndex = Math.max(0, Math.min(shots.length - 1, index));
  paint();
  if (map.selected >= 0 && shownTab === 0) describePlace(map.selected);
}

function choose(tab) {
  shownTab = tab;
  TABS.forEach(([id], i) => {
    $(id).classList.toggle('shown', i === tab);
    $('tabs').children[i].setAttribute('aria-selected', String(i === tab));
  });
  paint();
}

// ---- search: an address, an untyped or a program, a purpose ----

function search(words) {
  const text = words.trim().toLowerCase(), shot = current(), r = runs(shot);
  map.found = null;
  if (!text) { paint(); return 'nothing to look for'; }
  const number = /^(0x[0-9a-f]+|\d+)$/.test(text) ? Number(text) : NaN;
  const process = rows(shot, 'process').find((p) => p.name.toLowerCase() === text);
  const owner = process ? process.budget : /^(untyped )?\d+$/.test(text) ? Number(text.replace('untyped ', '')) : 0;
  choose(0);
  if (text.startsWith('0x') && !Number.isNaN(number)) {
    const place = placeOf(r, Math.floor(number / PAGE));
    if (place < 0) { describe('not found', [[text, 'is no RAM']], true); return 'no RAM'; }
    showPlace(place, Math.min(map.span || r.total, 4096));
    return 'address';
  }
  map.found = owner && rows(shot, 'untyped').some((u) => u.untyped === owner) ? (x, k) => x.owner[k] === owner : (x, k) => purposeOf(x, k).toLowerCase().includes(text);
  let first = -1, bytes = 0;
  for (let k = r.n - 1; k >= 0; k--) if (map.found(r, k)) { first = k; bytes += r.pages[k] * PAGE; }
  if (first < 0) { map.found = null; describe('not found', [[text, 'no such address, untyped, program or purpose']], true); paint(); return 'none'; }
  showPlace(r.at[first]);
  $('details').prepend(element('p', {class: 'right'}, `${text}: ${size(bytes)} in all, framed in the picture`));
  return 'found';
}

// ---- keys ----

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === $('search')) {
    if (event.key === 'Enter') search($('search').value);
    if (event.key === 'Escape') { $('search').value = ''; $('search').blur(); map.found = null; map.selected = -1; describeAll(current()); paint(); }
    return;
  }
  if (/^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const act = {
    '/': () => $('search').focus(), 't': turnTheme, 'p': () => window.print(), '?': () => $('keys').showModal(),
    '[': () => show(shownIndex - 1), ']': () => show(shownIndex + 1),
    '+': () => zoomMap(0.5), '=': () => zoomMap(0.5), '-': () => zoomMap(2), '0': () => { map.span = 0; paintMap(); },
    'ArrowUp': () => panMap(-0.25), 'ArrowDown': () => panMap(0.25), 'ArrowLeft': () => panMap(-1 / 16), 'ArrowRight': () => panMap(1 / 16),
    'Enter': () => { if (map.selected >= 0) showPlace(map.selected, 1024); },
    'c': () => { const all = Object.keys(COLOURS); map.by = all[(all.indexOf(map.by) + 1) % all.length]; paintMapChoice(); paintMap(); },
  }[event.key];
  const tab = '123456'.indexOf(event.key);
  const ofMap = ['+', '=', '-', '0', 'c', 'Enter'].includes(event.key) || event.key.startsWith('Arrow');
  if (tab >= 0) choose(tab);
  else if (act && (!ofMap || (shownTab === 0 && event.target !== $('slider') && event.target.tagName !== 'BUTTON'))) { event.preventDefault(); act(); }
}

function turnTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  paint();
}

// ---- live: what is new, every second ----

async function poll() {
  try {
    const news = await (await fetch(`snapshots.json?from=${shots.length}`)).json(), atEnd = shownIndex >= shots.length - 1;
    Object.assign(doc.names, news.names);
    if (news.snapshots.length) {
      shots.push(...news.snapshots);
      if (atEnd) shownIndex = shots.length - 1;
      paint();
    }
    document.title = `Quarry: memory, live (${shots.length})`;
  } catch (error) {
    document.title = 'Quarry: memory (the machine has stopped)';
  }
  setTimeout(poll, 1000);
}

function begin() {
  document.documentElement.dataset.theme = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  TABS.forEach(([id], i) => $('tabs').append(element('button', {type: 'button', role: 'tab', title: `key ${i + 1}`, onclick: () => choose(i)}, $(id).dataset.title)));
  $('keys').append(element('h2', {}, 'Keys'), table(['key', 'does'], KEYS.map(([key, what]) => [element('kbd', {}, key), what]), 2),
    element('p', {}, element('button', {onclick: () => $('keys').close()}, 'close')));
  mapBegin();
  $('slider').addEventListener('input', (event) => show(Number(event.target.value)));
  $('before').onclick = () => show(shownIndex - 1);
  $('after').onclick = () => show(shownIndex + 1);
  $('theme').onclick = turnTheme;
  $('help').onclick = () => $('keys').showModal();
  document.addEventListener('keydown', onKey);
  window.addEventListener('resize', paint);
  window.addEventListener('beforeprint', () => { document.documentElement.dataset.theme = 'light'; TABS.forEach(([id, draw]) => { $(id).classList.add('shown'); if (shots.length) draw(); }); });
  window.addEventListener('afterprint', () => choose(shownTab));
  choose(0);
  if (isLive) poll();
}

// For tests, and for whoever looks at the page with a console.
window.quarry = {doc, shots, map, drawn, totals, runs, search, show, choose, zoomMap, showPlace, fragmentation, spacesOf, current, eventCharts, ownerChanges, chainChanges};
begin();
