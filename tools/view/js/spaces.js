// ---- address spaces: their regions, what is there of them, in pages of which size ----

const REGIONS_DRAWN = 400; // of one space; the rest is told in a line
const KINDS = ['data', 'code', 'stack', 'heap', 'mapped'];
const BACKINGS = ['nothing', 'anonymous', 'object', 'pager', 'swap', 'guard', 'revoked', 'frames'];
const SIZES = [['4 KiB', '--user'], ['2 MiB', '--slab'], ['1 GiB', '--table']];

const rightsOf = (flags) => (flags & 1 ? 'r' : '-') + (flags & 2 ? 'w' : '-') + (flags & 4 ? 'x' : '-');

// A bar as long as the region's logarithm; filled as far as it is there, by size of pages.
function regionBar(region) {
  const bytes = region.end - region.start, width = Math.min(218, 8 * Math.log2(bytes / PAGE + 1) + 8);
  const svg = shape('svg', {width: 220, height: 14});
  const parts = [region.resident - region.large - region.huge, region.large, region.huge];
  let x = 0;
  svg.append(shape('rect', {x: 0.5, y: 0.5, width, height: 13, rx: 2, fill: 'none', stroke: fromStyle('--line')}));
  parts.forEach((part, i) => {
    if (part <= 0) return;
    const w = Math.max(2, width * part / bytes);
    svg.append(shape('rect', {x, y: 1, width: Math.min(w, width - x), height: 12, fill: fromStyle(SIZES[i][1])}));
    x += w;
    drawn.spaces++;
  });
  if (region.swapped) {
    svg.append(shape('rect', {x, y: 1, width: Math.max(2, Math.min(width - x, width * region.swapped / bytes)), height: 12, fill: fromStyle('--firmware')}));
    drawn.spaces++;
  }
  drawn.spaces++;
  return svg;
}

function regionRow(region) {
  const flags = region.flags;
  return [{cls: 'mono', text: hex(region.start)}, {cls: 'mono', text: rightsOf(flags)}, `${KINDS[flags >> 8 & 7] || ''}, ${BACKINGS[flags >> 16 & 15] || ''}`,
    regionBar(region), size(region.page_bytes), size(region.end - region.start), size(region.resident), size(region.proportional),
    size(region.shared_bytes), size(region.swapped)];
}

function spaceCard(space) {
  const sums = space.sums, name = space.name ? `${space.name} (space ${space.space})` : `space ${space.space}`;
  const more = space.regions.length - REGIONS_DRAWN;
  return element('div', {class: 'card', 'data-space': space.space}, element('h2', {}, name),
    element('p', {class: 'sums'}, `resident ${size(sums.resident || 0)}, private ${size(sums.private_bytes || 0)}, shared ${size(sums.shared_bytes || 0)}, ` +
      `proportional ${size(sums.proportional || 0)}, swapped ${size(sums.swapped || 0)}${sums.swapped ? ` (compressed ${size(space.compressed || 0)}, on a disk ${size(space.onDisk || 0)})` : ''}, tables ${size((sums.tables || 0) * PAGE)}; ` +
      `pages of 2 MiB: ${size(sums.large || 0)}, of 1 GiB: ${size(sums.huge || 0)}; budget: untyped ${space.budget || '-'}`),
    table(['start', 'rights', 'kind', 'there', 'pages', 'size', 'resident', 'proportional', 'shared', 'swapped'],
      space.regions.slice(0, REGIONS_DRAWN).map(regionRow), 4),
    more > 0 ? element('p', {class: 'quiet'}, `and ${more} regions more`) : '');
}

function paintSpaces() {
  drawn.spaces = 0;
  const legend = element('div', {class: 'legend bar'}, ...SIZES.map(([name, colour]) => element('span', {}, swatch(fromStyle(colour)), `there, pages of ${name}`)),
    element('span', {}, swatch(fromStyle('--firmware')), 'swapped'), element('span', {}, swatch('transparent'), 'not there; lengths are logarithms'));
  $('spaces').replaceChildren(legend, ...spacesOf(current()).map(spaceCard));
}
