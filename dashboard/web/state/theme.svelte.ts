// Light, dark, or as the system has it.

export type Theme = "auto" | "light" | "dark";
const KEY = "theme";

function kept(): Theme {
  const said = localStorage.getItem(KEY);
  return said === "light" || said === "dark" ? said : "auto";
}

class Look {
  theme = $state<Theme>(kept());

  constructor() {
    this.#apply();
  }

  set(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(KEY, theme);
    this.#apply();
  }

  #apply(): void {
    if (this.theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }
}

export const look = new Look();
