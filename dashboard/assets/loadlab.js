// The browser's half of the router, see dashboard/app.py: joins path, query and theme into one view.
// Beside it what needs no server: theme, copying a link, pictures of figures, shortcuts.
(() => {
  const KEY = "loadlab-theme";
  const root = JSON.parse(document.getElementById("_dash-config").textContent).requests_pathname_prefix;
  let clicksSeen = 0;

  const preferred = () => {
    const kept = localStorage.getItem(KEY);
    return kept || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  };

  const themeAfter = (clicks) => {
    if (clicks && clicks !== clicksSeen) {
      clicksSeen = clicks;
      localStorage.setItem(KEY, preferred() === "dark" ? "light" : "dark");
    }
    return preferred();
  };

  // Pages know themselves from the root of the app, wherever a proxy puts it.
  const below = (path) => (path && path.startsWith(root) ? `/${path.slice(root.length)}` : path);

  const view = (path, search, clicks, shown) => {
    const theme = themeAfter(clicks);
    const asked = { path: below(path), search: search || "", theme };
    const drawn = shown && Object.keys(asked).every((key) => shown[key] === asked[key]);
    return [drawn || !path ? window.dash_clientside.no_update : asked, theme];
  };

  const here = () => ({ path: below(location.pathname), search: location.search, theme: preferred() });

  // The page is painted after this callback: its heading is there a frame later.
  let lastPath = null;
  const drawn = () => void requestAnimationFrame(() => {
    const heading = document.querySelector("h1");
    if (heading) document.title = `${heading.textContent} · loadlab`;
    document.getElementById("notice").replaceChildren();
    for (const link of document.querySelectorAll("#nav a")) {
      const current = below(new URL(link.href).pathname) === below(location.pathname);
      if (current) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    document.body.classList.remove("menu-open");
    if (lastPath !== null && lastPath !== location.pathname) {
      document.getElementById("page").focus({ preventScroll: true });  // so that Tab goes on from the new page
      scrollTo(0, 0);
    }
    lastPath = location.pathname;
  });

  const say = (words) => {
    const said = document.getElementById("said");
    said.textContent = words;
    said.classList.add("shown");
    setTimeout(() => said.classList.remove("shown"), 2500);
  };

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link to this view is copied.");
    } catch {
      say("The browser does not let pages copy here: take the link from its address bar.");
    }
  };

  const fetched = (what, more) => {
    const link = document.createElement("a");
    link.href = `${root}export/${what}?${new URLSearchParams({ ...here(), ...more })}`;
    link.download = "";
    link.click();
  };

  // A picture is passed on without its page, so what the page says at its foot is written into it.
  const wrapped = (pen, words, width) => {
    const lines = [""];
    for (const word of words.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (pen.measureText(longer).width > width) lines.push(word); else lines[lines.length - 1] = longer;
    }
    return lines;
  };

  const picture = async (name) => {
    const plot = document.querySelector(`[id="figure-${name}"] .js-plotly-plot`);
    const { clientWidth: width, clientHeight: height } = plot;
    const image = new Image();
    image.src = await Plotly.toImage(plot, { format: "png", width, height, scale: 2 });
    await image.decode();
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const font = "22px system-ui, sans-serif";
    pen.font = font;
    const heading = document.querySelector("h1").textContent;
    const foot = document.getElementById("footnote")?.textContent ?? "";
    const lines = wrapped(pen, `${heading} · ${foot}`, image.width - 48);
    canvas.width = image.width;
    canvas.height = image.height + 30 * lines.length + 24;
    const styles = getComputedStyle(document.documentElement);
    pen.fillStyle = styles.getPropertyValue("--paper");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    pen.font = font;
    pen.fillStyle = styles.getPropertyValue("--soft");
    lines.forEach((line, place) => pen.fillText(line, 24, image.height + 30 * (place + 1)));
    const link = document.createElement("a");
    link.href = canvas.toDataURL("image/png");
    link.download = `loadlab-${name}.png`;
    link.click();
  };

  const sheet = () => document.getElementById("sheet");
  const toggleSheet = () => (sheet().open ? sheet().close() : sheet().showModal());

  const clicks = {
    copy, help: toggleSheet, "sheet-close": toggleSheet,
    save: () => fetched("page.html", {}),
    menu: () => document.body.classList.toggle("menu-open"),
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { save, figure } = button.dataset;
    if (save === "png") picture(figure);
    else if (save === "csv") fetched("rows.csv", { figure });
    else clicks[button.id]?.();
  });

  const goTo = { o: "/", l: "/live", t: "/tradeoff", c: "/compare", p: "/capacity", g: "/gates", r: "/runs" };
  const keys = {
    "?": toggleSheet, c: copy, s: clicks.save,
    t: () => document.getElementById("theme").click(),
    "/": () => document.querySelector("#page input:not([type=hidden]), #page select")?.focus(),
  };
  let waiting = false;

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = waiting && goTo[event.key];
    waiting = event.key === "g" && !waiting;
    if (path) document.querySelector(`#nav a[href="${root}${path.slice(1)}"]`)?.click();
    else if (!waiting && keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  const pause = (_, paused) => [!paused, paused ? "Pause" : "Go on"];

  window.loadlab = { preferred, here, root };
  window.dash_clientside = { ...window.dash_clientside, loadlab: { view, drawn, pause } };
})();
