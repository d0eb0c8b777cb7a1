// The browser's half of the router, see dashboard/app.py: joins path, query and theme into one view.
(() => {
  const KEY = "loadlab-theme";
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

  const view = (path, search, clicks, shown) => {
    const theme = themeAfter(clicks);
    const asked = { path, search: search || "", theme };
    const drawn = shown && Object.keys(asked).every((key) => shown[key] === asked[key]);
    return [drawn || !path ? window.dash_clientside.no_update : asked, theme];
  };

  // The page is painted after this callback: its heading is there a frame later.
  const title = () => requestAnimationFrame(() => {
    const heading = document.querySelector("h1");
    if (heading) document.title = `${heading.textContent} · loadlab`;
  });

  window.loadlab = { preferred, view, title: () => void title() };
})();
