// Draws each chart from the figures beside it, in the theme that is shown; on paper always in the light one.
(() => {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const footnote = document.querySelector("footer")?.innerText ?? "";

  const shown = () =>
    root.dataset.theme === "auto" ? (prefersDark.matches ? "dark" : "light") : root.dataset.theme;

  // A picture is passed on without the page: what the page says at its foot goes along.
  const wrap = (text, width) => text.replace(new RegExp(`(.{1,${width}})(\\s+|$)`, "g"), "$1<br>");
  const save = (plot) => {
    const { width, height, font, _size: size } = plot._fullLayout;
    const words = wrap(footnote, Math.floor(width / 6.5));
    const more = 16 * (words.split("<br>").length + 1);
    const foot = {
      text: words, x: 0, y: 0, xref: "paper", yref: "paper", xanchor: "left", yanchor: "top", align: "left",
      xshift: 8 - size.l, yshift: -size.b - 4, showarrow: false, font: { size: 11, color: font.color },
    };
    const layout = {
      ...plot.layout, width, height: height + more,
      margin: { ...plot.layout.margin, b: size.b + more },
      annotations: [...(plot.layout.annotations ?? []), foot],
    };
    Plotly.downloadImage({ data: plot.data, layout }, { format: "png", scale: 2, filename: `loadlab-${plot.id}` });
  };

  const config = {
    displaylogo: false,
    responsive: true,
    showTips: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toImage"],
    modeBarButtonsToAdd: [{ name: "png", title: "Save as PNG", icon: Plotly.Icons.camera, click: save }],
  };

  const draw = (theme) => {
    for (const plot of document.querySelectorAll(".plot")) {
      const all = JSON.parse(plot.parentElement.querySelector("script").textContent);
      const { data, layout } = all[theme] ?? Object.values(all)[0];
      Plotly.react(plot, data, layout, config);
    }
  };

  for (const plot of document.querySelectorAll(".plot")) plot.textContent = "";
  draw(shown());
  prefersDark.addEventListener("change", () => draw(shown()));
  addEventListener("beforeprint", () => draw("light"));
  addEventListener("afterprint", () => draw(shown()));
})();
