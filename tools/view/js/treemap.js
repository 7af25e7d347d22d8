// ---- treemap: untypeds in untypeds, and what each has ----

const tree = {root: 0};

// An untyped as a node: what was carved out of it, and its own frames by state.
function treeOf(shot, number) {
  const all = rows(shot, 'untyped'), sums = totals(shot).owner;
  const build = (u) => {
    const own = Object.entries(sums[u.untyped] || {}).map(([state, bytes]) => ({name: state, bytes, untyped: u.untyped, state}));
    const children = all.filter((c) => c.parent === u.untyped).map(build);
    return {name: ownerName(shot, u.untyped), bytes: u.total_bytes, untyped: u.untyped, record: u, children: [...children, ...own]};
  };
  if (number && all.some((u) => u.untyped === number)) return build(all.find((u) => u.untyped === number));
  const tops = all.filter((u) => !u.parent).map(build);
  return {name: 'all untypeds', bytes: tops.reduce((sum, t) => sum + t.bytes, 0), untyped: 0, children: tops};
}

// Squarified (Bruls, Huizing, van Wijk, 2000): rows along the shorter side, as long as its shapes get no worse.
function squarify(nodes, box, put) {
  const rest = nodes.filter((n) => n.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  let sum = rest.reduce((s, n) => s + n.bytes, 0), {x, y, w, h} = box, i = 0;
  while (i < rest.length && w > 0.5 && h > 0.5) {
    const side = Math.min(w, h), scale = w * h / sum;
    let row = 0, worst = Infinity, end = i;
    for (; end < rest.length; end++) {
      const area = (row + rest[end].bytes) * scale, thick = area / side;
      const bad = Math.max(thick / (rest[end].bytes * scale / thick), rest[i].bytes * scale / thick / thick);
      if (bad > worst) break;
      worst = bad;
      row += rest[end].bytes;
    }
    const thick = row * scale / side;
    let along = 0;
    for (; i < end; i++) {
      const length = rest[i].bytes * scale / thick;
      put(rest[i], w >= h ? {x, y: y + along, w: thick, h: length} : {x: x + along, y, w: length, h: thick});
      along += length;
    }
    if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    sum -= row;
  }
}

// What would be smaller than a few pixels is not drawn: it is its parent's ground.
function paintNode(svg, node, box, depth) {
  if (box.w < 3 || box.h < 3 || drawn.treemap > 40000) return;
  const leaf = !node.children, fill = leaf ? fromStyle(PURPOSES[node.state] || '--kernel') : fromStyle('--card');
  const rect = shape('rect', {x: box.x, y: box.y, width: box.w, height: box.h, fill, stroke: fromStyle('--line'),
    'data-untyped': node.untyped, onclick: (event) => { event.stopPropagation(); describeUntyped(node); },
    ondblclick: (event) => { event.stopPropagation(); tree.root = tree.root === node.untyped ? 0 : node.untyped; paintTreemap(); }});
  rect.append(shape('title', {}, `${node.name}: ${size(node.bytes)}`));
  svg.append(rect);
  drawn.treemap++;
  const head = !leaf && box.h > 40 && box.w > 50 ? 18 : 0;
  if (box.w > 54 && box.h > 17) {
    const most = Math.floor((box.w - 8) / 6.6), text = `${node.name}  ${size(node.bytes)}`;
    svg.append(shape('text', {x: box.x + 5, y: box.y + 13, 'pointer-events': 'none', class: leaf && node.state !== 'free' ? 'on' : ''},
      text.length > most ? text.slice(0, Math.max(0, most - 1)) + '…' : text));
    drawn.treemap++;
  }
  const edge = leaf ? 0 : Math.min(3, box.w / 8, box.h / 8);
  if (!leaf) squarify(node.children, {x: box.x + edge, y: box.y + head + edge, w: box.w - 2 * edge, h: box.h - head - 2 * edge},
    (child, place) => paintNode(svg, child, place, depth + 1));
}

function describeUntyped(node) {
  const u = node.record || rows(current(), 'untyped').find((x) => x.untyped === node.untyped);
  if (!u) return;
  describe(ownerName(current(), u.untyped), [['untyped', u.untyped], ['carved out of', u.parent || '-'], ['header paid by', u.payer || '-'],
    ['node', u.node], ['zone', u.zone ? 'normal' : 'below 4 GiB'], ['from', hex(u.first * PAGE)], ['to', hex(u.end * PAGE)],
    ['size', size(u.total_bytes)], ['free', size(u.free_bytes)], ['in blocks of 2 MiB', size(u.large_bytes)],
    ['user', size(u.frame_bytes)], ['tables', size(u.table_bytes)], ['slabs', size(u.slab_bytes)], ['objects', size(u.object_bytes)],
    ['metadata', size(u.metadata_bytes)], ["CPUs' caches", size(u.cache_bytes)], ['child untypeds', size(u.child_bytes)],
    ['objects made of it', u.objects], ['allocations', u.allocations], ['frees', u.frees], ['refused', u.failures]], true);
}

function paintTreemap() {
  const box = $('treemap').getBoundingClientRect(), w = Math.max(200, box.width), h = Math.max(260, box.height);
  const svg = shape('svg', {width: w, height: h, viewBox: `0 0 ${w} ${h}`});
  drawn.treemap = 0;
  paintNode(svg, treeOf(current(), tree.root), {x: 0, y: 0, w, h}, 0);
  $('treemap').replaceChildren(svg);
}
