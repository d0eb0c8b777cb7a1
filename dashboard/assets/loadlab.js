// The browser's half of the router; see dashboard/app.py.
window.loadlab = {
  view(path, search, theme, shown) {
    if (!theme || !path) return window.dash_clientside.no_update;
    const view = { path, search: search || "", theme };
    const same = shown && ["path", "search", "theme"].every((key) => shown[key] === view[key]);
    return same ? window.dash_clientside.no_update : view;
  },
  title() {
    // The page is painted after this callback: read its heading then.
    requestAnimationFrame(() => {
      const heading = document.querySelector("h1");
      if (heading) document.title = heading.textContent + " · loadlab";
    });
  },
};
window.dash_clientside = Object.assign({}, window.dash_clientside, { loadlab: window.loadlab });
