"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const tabs = all("[role=tab]");
  const panel = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

  const show = (tab) => {
    for (const each of tabs) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      panel(each).hidden = !chosen;
    }
    // Not scrollIntoView, after which Chromium would begin with this tab when Tab is pressed.
    const list = tab.parentElement;
    list.scrollLeft = tab.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
  };
  const go = (tab) => {
    show(tab);
    history.replaceState(null, "", tab.getAttribute("href"));
  };
  const fromAddress = () =>
    show(tabs.find((tab) => tab.getAttribute("href") === location.hash) ?? tabs[0]);
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      go(tab);
    });
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const next = {
        ArrowRight: place === last ? 0 : place + 1,
        ArrowLeft: place === 0 ? last : place - 1,
        Home: 0,
        End: last,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      tabs[next].focus();
      go(tabs[next]);
    });
  });
  addEventListener("hashchange", fromAddress);
  fromAddress();

  // Light and dark: the system's choice, until the button says otherwise.
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  label();

  // Tables are sorted by their headings; cells without a value stay last.
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  for (const heading of all("th[aria-sort]")) {
    heading.firstElementChild.addEventListener("click", () => {
      const other = { ascending: "descending", descending: "ascending" };
      const order = other[heading.getAttribute("aria-sort")] ?? heading.dataset.first;
      for (const each of heading.parentElement.cells) each.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const body = heading.closest("table").querySelector("tbody.rows");
      const rows = [...body.rows].map((row) => [value(row, heading.cellIndex), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  }

  // Rows are filtered by what they contain and by their kind.
  for (const input of all("[data-filters]")) {
    const name = input.dataset.filters;
    const kinds = document.querySelector(`[data-kinds="${name}"]`);
    const count = document.querySelector(`[data-counts="${name}"]`);
    const rows = all("tbody tr", document.getElementById(name));
    const filter = () => {
      const words = input.value.toLowerCase();
      for (const row of rows) {
        const named = row.cells[0].textContent.toLowerCase().includes(words);
        row.hidden = !named || Boolean(kinds?.value && row.dataset.kind !== kinds.value);
      }
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    kinds?.addEventListener("change", filter);
    filter();
  }

  for (const select of all("select[id]")) {
    const choose = () => {
      for (const each of all(`[data-of="${select.id}"]`)) each.hidden = each.id !== select.value;
    };
    select.addEventListener("change", choose);
    choose();
  }

  for (const copy of all(".copy")) {
    const code = copy.closest(".code").querySelector("code");
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        copy.textContent = "Selected";
      }
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
  }
})();
