// ---- tables: the same numbers as the console's, and whether they add up ----

function sumsCard(shot) {
  const sums = totals(shot), percent = (bytes) => `${(100 * bytes / sums.usable).toFixed(2)} %`;
  const states = Object.entries(sums.state).sort((a, b) => b[1] - a[1]).map(([name, bytes]) => [name === 'reserved' ? 'in no untyped' : name, bytes, size(bytes), percent(bytes)]);
  const uses = Object.entries(sums.use).sort((a, b) => b[1] - a[1]).map(([name, bytes]) => [name, bytes, size(bytes), percent(bytes)]);
  const verdict = sums.wrong.length
    ? element('div', {class: 'wrong'}, 'What was read while the machine worked does not add up:', element('ul', {}, ...sums.wrong.slice(0, 20).map((w) => element('li', {}, w))))
    : element('p', {class: 'right'}, 'Every byte adds up: runs of frames, the memory map, and what each untyped counts say the same.');
  return element('div', {class: 'card', id: 'sums'}, element('h2', {}, `All RAM: ${size(sums.usable)}`), verdict,
    element('h3', {}, 'by state'), table(['state', 'bytes', 'size', 'of all'], states), element('h3', {}, 'by use'), table(['use', 'bytes', 'size', 'of all'], uses));
}

function buddyCard(shot) {
  const orders = totals(shot).orders;
  return element('div', {class: 'card', id: 'buddyinfo'}, element('h2', {}, 'Free blocks by order (buddyinfo)'),
    table(['untyped', 'node', 'zone', 'free', ...Array.from({length: 19}, (_, i) => i)], rows(shot, 'untyped').map((u) =>
      [ownerName(shot, u.untyped), u.node, u.zone ? 'Normal' : 'DMA32', size(u.free_bytes), ...(orders[u.untyped] || new Array(19).fill(0))])));
}

function slabCard(shot) {
  const caches = rows(shot, 'cache').map((c, type) => ({...c, type})).filter((c) => c.allocations);
  return element('div', {class: 'card', id: 'slabinfo'}, element('h2', {}, "The kernel's caches (slabinfo)"),
    table(['name', 'active_objs', 'num_objs', 'objsize', 'pagesperslab', 'num_slabs', 'memory'], caches.map((c) =>
      [nameOf('objects', c.type), c.live, c.capacity, c.object_bytes, 2 ** c.slab_order, c.slabs, size(c.slab_bytes)])));
}

function processCard(shot) {
  return element('div', {class: 'card', id: 'processes'}, element('h2', {}, 'Processes'),
    table(['process', 'space', 'budget', 'Rss', 'Pss', 'Private', 'Shared', 'Swap', '2 MiB', '1 GiB', 'tables'], spacesOf(shot).map((s) =>
      [s.name || '', s.space, s.budget, ...['resident', 'proportional', 'private_bytes', 'shared_bytes', 'swapped', 'large', 'huge'].map((f) => size(s.sums[f] || 0)), size((s.sums.tables || 0) * PAGE)])));
}

function cpuCard(shot) {
  const fields = ['cpu', 'node', 'calls', 'faults', 'interrupts', 'shootdowns', 'switches'];
  return element('div', {class: 'card', id: 'cpus'}, element('h2', {}, 'CPUs'),
    table(fields, rows(shot, 'cpu').map((c) => fields.map((f) => c[f]))));
}

function paintTables() {
  const shot = current();
  $('tables').replaceChildren(...[sumsCard, processCard, buddyCard, slabCard, cpuCard].map((card) => card(shot)));
}
