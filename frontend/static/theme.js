// Runs before the first paint: light, dark, or what the system says.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const choice = root.dataset.themeChoice;
    root.dataset.bsTheme = choice || (system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", () => {
    apply();
    document.dispatchEvent(new Event("themechange"));
  });
})();
