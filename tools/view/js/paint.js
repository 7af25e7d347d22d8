// ---- paint: elements, colours, and a count of what is drawn ----

// What a picture draws is counted: tests hold it below 50,000, whatever the zoom.
const drawn = {map: 0, treemap: 0, spaces: 0, charts: 0};

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function shape(name, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const fromStyle = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const PURPOSES = {'free': '--free', "in a CPU's cache": '--cached', 'user': '--user', 'table': '--table', 'slab': '--slab',
  'object': '--object', 'metadata': '--metadata', 'device': '--device', 'kept for the firmware': '--firmware',
  'frame 0, withheld': '--firmware', 'hot-pluggable, withheld': '--firmware'};

// What the kernel keeps for itself: shades of one colour.
const KERNEL = ['kernel text', 'kernel constants', 'kernel data', 'boot archive', 'boot structures', 'kernel page tables',
  'frame database', 'CPU areas and stacks', 'kernel arena', 'start of other CPUs'];
const ofPurpose = (key) => {
  const shade = KERNEL.indexOf(key);
  return shade >= 0 ? `hsl(${(352 + 5 * shade) % 360} ${isDark() ? 62 - 2 * shade : 60 - 2 * shade}% ${isDark() ? 68 - 3 * shade : 38 + 3 * shade}%)`
    : fromStyle(PURPOSES[key] || '--kernel');
};

// Colours of numbers: the golden angle keeps neighbours apart.
const isDark = () => document.documentElement.dataset.theme === 'dark';
const ofNumber = (n, pale = 0) => `hsl(${(n * 137.5 + 205) % 360} ${isDark() ? (pale ? '30% 24%' : '58% 62%') : (pale ? '42% 86%' : '60% 46%')})`;
const ranks = new Map();
const rankOf = (owner) => { if (!ranks.has(owner)) ranks.set(owner, ranks.size); return ranks.get(owner); };
const ofOrder = (order) => `hsl(${260 - order * 13} ${isDark() ? `65% ${38 + order * 1.6}%` : `70% ${62 - order * 1.5}%`})`;

// One way to colour: of a run its key, of a key its name and colour.
const COLOURS = {
  purpose: {
    title: 'purpose',
    key: (r, k) => purposeOf(r, k),
    name: (key) => key,
    colour: ofPurpose,
  },
  owner: { // what is free of it is paler
    title: 'owner',
    key: (r, k) => 2 * r.owner[k] + (nameOf('states', r.state[k]) === 'free'),
    name: (key, shot) => ownerName(shot, key >> 1) + (key & 1 ? ', free' : ''),
    colour: (key) => key ? ofNumber(rankOf(key >> 1), key & 1) : fromStyle('--firmware'),
  },
  order: {
    title: 'block size',
    key: (r, k) => nameOf('states', r.state[k]) === 'reserved' ? -1 : r.order[k],
    name: (key) => key < 0 ? 'in no block' : `${size(PAGE * 2 ** key)} (order ${key})`,
    colour: (key) => key < 0 ? fromStyle('--firmware') : ofOrder(key),
  },
  node: {
    title: 'node',
    key: (r, k) => r.node[k],
    name: (key) => `node ${key}`,
    colour: (key) => ofNumber(key * 3 + 1),
  },
};

function table(heads, body, left = 1) {
  const side = (i) => i < left ? 'left' : '';
  const cell = (name, value, i) => {
    const node = element(name, {class: side(i)});
    if (value && value.cls !== undefined) { node.className += ' ' + value.cls; node.append(value.text); }
    else node.append(value instanceof Node ? value : String(value));
    return node;
  };
  return element('div', {class: 'scroll'}, element('table', {},
    element('thead', {}, element('tr', {}, ...heads.map((h, i) => cell('th', h, i)))),
    element('tbody', {}, ...body.map((row) => element('tr', {}, ...row.map((v, i) => cell('td', v, i)))))));
}

// At the side. kept: until something else is described.
function describe(title, pairs, kept = false) {
  $('details').replaceChildren(element('h2', kept ? {'data-kept': ''} : {}, title),
    element('dl', {}, ...pairs.flatMap(([k, v]) => [element('dt', {}, k), element('dd', {}, String(v))])));
}

function swatch(colour) {
  return element('i', {class: 'swatch', style: `background:${colour}`});
}
