// What the page does once it is open: another language, another light, tables sorted and searched, plots. It asks nothing of anyone.
(() => {
  "use strict";
  const told = JSON.parse(document.getElementById("numbers").textContent);
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  let language = root.lang === told.languages.zh ? "zh" : "en";

  // Words. A list is a sentence of its own, to be put into another; {n:row|rows} says how many there are of what.
  const put = (value, one, many) => (one === undefined ? (Array.isArray(value) ? say(...value) : String(value)) : value === "1" ? one : many);
  const say = (key, args = {}) =>
    told.words[language][key].replace(/\{(\w+)(?::([^|{}]*)\|([^|{}]*))?\}/g, (_, name, one, many) => put(args[name], one, many));
  const speak = () => {
    root.lang = told.languages[language];
    for (const each of all("[data-t]")) each.textContent = say(each.dataset.t, each.dataset.a ? JSON.parse(each.dataset.a) : {});
    for (const each of all("[data-en]")) each.textContent = each.dataset[language];
    for (const each of all("[data-l]")) each.setAttribute("aria-label", say(each.dataset.l));
  };
  document.getElementById("language").addEventListener("click", () => {
    language = language === "en" ? "zh" : "en";
    speak();
    shine();
    drawAll();
  });

  // Light and dark: the reader's system says, until the button does.
  const night = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : night.matches);
  const theme = document.getElementById("theme");
  const shine = () => {
    theme.firstChild.dataset.t = isDark() ? "light" : "dark";
    theme.firstChild.textContent = say(theme.firstChild.dataset.t);
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    shine();
    drawAll();
  });
  night.addEventListener("change", () => {
    shine();
    drawAll();
  });

  // Tables.
  const sortedBy = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), root.lang, { numeric: true }));
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".sort");
    if (!button) return;
    const head = button.closest("th");
    const table = head.closest("table");
    const place = [...head.parentNode.children].indexOf(head);
    const numeric = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const next = before === "none" ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
    for (const each of all("th[aria-sort]", table)) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [sortedBy(row.cells[place]), row]);
    rows.sort((a, b) => sign * compare(a[0], b[0]));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches(".find")) return;
    const wanted = event.target.value.trim().toLowerCase();
    const region = event.target.closest(".search").nextElementSibling;
    for (const row of region.querySelector("tbody").rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });

  // Where more stands beyond the right edge the table fades out: a number that is cut off there would be read as another one.
  const fade = (region) => region.classList.toggle("more", region.scrollLeft + region.clientWidth < region.scrollWidth - 1);
  const widths = new ResizeObserver((changes) => changes.forEach(({ target }) => fade(target.closest(".scroll"))));
  const watched = (region) => {
    region.addEventListener("scroll", () => fade(region), { passive: true });
    widths.observe(region);
    widths.observe(region.querySelector("table"));
  };
  all(".scroll").forEach(watched);

  // Plots.
  const make = (tag, kind, text) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const short = (value) => {
    if (value >= 1e10) return `${(value / 1e9).toFixed(0)} G`;
    if (value >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
    if (value >= 1e7) return `${(value / 1e6).toFixed(0)} M`;
    if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
    if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
    return value >= 100 || Number.isInteger(value) ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : value.toPrecision(2);
  };
  const percent = (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`;
  const lasting = (ms) => (ms < 100 ? `${ms.toFixed(0)} ms` : ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 1000).toFixed(0)} s`);
  const clock = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: told.zone, hourCycle: "h23", ...options });
  const two = { hour: "2-digit", minute: "2-digit" };
  const toMinute = clock(two);
  const toSecond = clock({ ...two, second: "2-digit" });
  const dayParts = clock({ year: "numeric", month: "2-digit", day: "2-digit" });
  const day = (at) => {
    const parts = Object.fromEntries(dayParts.formatToParts(at * 1000).map((each) => [each.type, each.value]));
    return `${parts.year}-${parts.month}-${parts.day}`;
  };
  const moment = (at, width) => `${day(at)} ${(width < 60 ? toSecond : toMinute).format(at * 1000)}`;
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 2]];
  const FAMILY = ' system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';
  const label = (series) => [series.name, series.key && say(series.key)].filter(Boolean).join(" · ");

  // The values of each series as they are read, and where the buckets begin, the end of the last one included.
  const valued = (plot) => {
    const length = plot.series[0].counts.length;
    const begin = (place) => (plot.kind === "spread" ? plot.gamma ** (plot.from + place - 1) : plot.from + place * plot.width);
    const xs = Array.from({ length: length + 1 }, (_, place) => begin(place));
    const values = plot.series.map((series) => {
      const sum = series.counts.reduce((a, b) => a + b, 0) || 1;
      const scale = plot.kind === "spread" ? 100 / sum : plot.kind === "steps" ? 6000 / plot.width / series.of : plot.plain ? 1 : 60 / plot.width;
      return series.counts.map((counted) => counted * scale);
    });
    return { xs, values };
  };
  const shownX = (plot, xs, place) => (plot.kind === "spread" ? `${say("up_to")} ${lasting(xs[place + 1])}` : moment(xs[place], plot.width));
  const shownY = (plot, value) => (plot.kind === "stack" ? short(value) : percent(value));

  const drawn = new Map();
  let onPaper = false;
  let before = null;
  const draw = (place) => {
    const plot = told.plots[place.dataset.plot];
    const { xs, values } = valued(plot);
    const stacked = plot.kind === "stack";
    const heights = values.map((row) => [...row]);
    if (stacked) for (let n = 1; n < heights.length; n++) heights[n] = heights[n].map((value, i) => value + heights[n - 1][i]);
    // Steps are drawn from a bucket's beginning to its end, so the last one is given its end.
    const order = heights.map((_, n) => (stacked ? heights.length - 1 - n : n));
    const data = [xs, ...order.map((n) => [...heights[n], heights[n].at(-1)])];
    drawn.get(place)?.u.destroy();
    place.replaceChildren();
    const ink = colour("--quiet");
    const line = colour("--line");
    const steps = uPlot.paths.stepped({ align: 1 });
    const axis = { stroke: ink, font: `${onPaper ? 9 : 12}px ${FAMILY}`, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const readout = make("ul", "readout");
    const tell = (at) => {
      const items = [make("li", "at", at === null ? say(plot.unit) : shownX(plot, xs, at))];
      plot.series.forEach((series, n) => {
        const item = make("li");
        item.append(make("span", `swatch c${series.colour}`), make("bdi", "", label(series)));
        item.append(make("span", "value", at === null ? "" : shownY(plot, values[n][at])));
        items.push(item);
      });
      readout.replaceChildren(...items);
    };
    const options = {
      width: Math.max(place.clientWidth, 200),
      height: place.clientWidth < 520 ? 200 : 250,
      padding: [12, 26, 0, 0],
      legend: { show: false },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), told.zone),
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { show: false } },
      scales: {
        x: plot.kind === "spread" ? { time: false, distr: 3, range: [xs[0], xs.at(-1)] } : { time: true, range: [xs[0], xs.at(-1)] },
        y: { range: (_, __, most) => [0, Math.max(most * 1.06, plot.kind === "steps" && most > 40 ? 105 : 0, 1e-9)] },
      },
      axes: [
        plot.kind === "spread"
          ? { ...axis, values: (_, splits) => splits.map((each) => (each === null ? null : lasting(each))), splits: (_, __, least, most) => decades(least, most), filter: (_, splits) => splits }
          : { ...axis, space: 80, filter: (_, splits) => splits.map(atSeconds), values: (_, splits, __, ___, step) => clocked(splits, step) },
        { ...axis, size: onPaper ? 46 : 62, values: (_, splits) => splits.map((each) => shownY(plot, each)) },
      ],
      series: [
        {},
        ...order.map((n) => {
          const of = colour(`--c${plot.series[n].colour}`);
          return { stroke: of, width: stacked ? 1 : 2, fill: stacked ? of : undefined, dash: stacked ? [] : DASHES[n % 6], paths: steps, points: { show: false } };
        }),
      ],
      hooks: {
        setCursor: [(u) => tell(u.cursor.idx === null || u.cursor.left < 0 ? null : Math.min(u.cursor.idx, xs.length - 2))],
        draw: plot.kind === "steps" ? [whole] : [],
      },
    };
    const frame = make("div");
    place.append(frame, readout);
    const u = new uPlot(options, data, frame);
    drawn.set(place, { u, readout });
    tell(null);
    place.setAttribute("aria-label", `${say(place.dataset.title)}. ${say("plot_keys")}`);
  };
  const decades = (least, most) => {
    const found = [];
    for (let power = 1; power <= most; power *= 10) found.push(...[1, 2, 5].map((each) => each * power).filter((each) => each >= least && each <= most));
    return found.length ? found : [least, most];
  };
  // A run that is over in a second has ticks within it, which a clock would all show as the same.
  const atSeconds = (at) => (at === null || Number.isInteger(at) ? at : null);
  const clocked = (splits, step) => {
    let last = "";
    return splits.map((at) => {
      if (at === null) return null;
      const date = day(at).slice(5);
      const fresh = date !== last;
      last = date;
      if (step >= 86400) return date;
      const time = (step < 60 ? toSecond : toMinute).format(at * 1000);
      return fresh ? `${time}\n${date}` : time;
    });
  };
  // A line at the whole quota.
  const whole = (u) => {
    if (u.scales.y.max < 100) return;
    const y = Math.round(u.valToPos(100, "y", true));
    u.ctx.save();
    u.ctx.strokeStyle = colour("--bad");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  };
  const plots = all("[data-plot]");
  const drawAll = () => plots.forEach(draw);

  for (const place of plots) {
    place.tabIndex = 0;
    place.setAttribute("role", "group");
    place.addEventListener("keydown", (event) => {
      const { u, readout } = drawn.get(place);
      const last = u.data[0].length - 2;
      const at = u.cursor.idx ?? null;
      const next = { ArrowRight: at === null ? 0 : at + 1, ArrowLeft: at === null ? last : at - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") u.setCursor({ left: -10, top: -10 });
      if (next === undefined) return;
      event.preventDefault();
      readout.setAttribute("aria-live", "polite");
      // A hair inside the bucket: rounding must not fall back into the one before.
      u.setCursor({ left: u.valToPos(u.data[0][Math.min(Math.max(next, 0), last)], "x") + 0.01, top: 1 });
    });
  }
  const fits = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const known = drawn.get(target);
      if (known && Math.abs(known.u.width - target.clientWidth) > 1) known.u.setSize({ width: Math.max(target.clientWidth, 200), height: known.u.height });
    }
  });
  plots.forEach((place) => fits.observe(place));

  // The same numbers as a table, once they are asked for.
  for (const details of all(".numbers")) {
    details.addEventListener("toggle", () => {
      const data = details.querySelector(".data");
      if (!details.open) return;
      const plot = told.plots[details.parentNode.querySelector("[data-plot]").dataset.plot];
      const { xs, values } = valued(plot);
      const table = make("table");
      const head = table.createTHead().insertRow();
      const names = [say(plot.kind === "spread" ? "duration" : "time"), ...plot.series.map(label)];
      names.forEach((text, n) => {
        const cell = make("th", n ? "n" : "", text);
        cell.scope = "col";
        head.append(cell);
      });
      const body = table.createTBody();
      for (let n = 0; n < xs.length - 1; n++) {
        if (!values.some((row) => row[n])) continue;
        const row = body.insertRow();
        const first = make("th", "", shownX(plot, xs, n));
        first.scope = "row";
        row.append(first, ...values.map((each) => make("td", "n", shownY(plot, each[n]))));
      }
      const region = make("div", "scroll");
      region.tabIndex = 0;
      region.setAttribute("role", "group");
      region.setAttribute("aria-label", `${say(details.parentNode.querySelector("[data-plot]").dataset.title)}: ${say(plot.unit)}`);
      region.append(make("p", "sub", say(plot.unit)), table);
      data.replaceChildren(region);
      watched(region);
    });
  }

  // Paper is light, and as wide as it is.
  addEventListener("beforeprint", () => {
    before ??= { theme: root.dataset.theme };
    root.dataset.theme = "light";
    onPaper = true;
    drawAll();
    for (const { u } of drawn.values()) u.setSize({ width: 690, height: 200 });
  });
  addEventListener("afterprint", () => {
    if (before?.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    before = null;
    onPaper = false;
    drawAll();
  });

  shine();
  drawAll();
})();
