
// The filter lives in the address (#paper=4&verdict=supported), so that a filtered ledger can be linked to.
const form = document.getElementById("filter"), rows = [...document.querySelectorAll(".ledger tbody tr")];
const keys = ["paper", "verdict"];
function apply() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const box of form.elements) if (box.type === "checkbox") box.checked = wanted.getAll(box.name).includes(box.value);
  for (const row of rows) row.hidden = keys.some(key => wanted.has(key) && !wanted.getAll(key).includes(row.dataset[key]));
  document.getElementById("shown").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} claims`;
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named) named.scrollIntoView();  // it may have been hidden when the browser looked for it
}
// replace: going back leaves the page instead of undoing the filter step by step
form.addEventListener("change", () => location.replace("#" + (new URLSearchParams(new FormData(form)).toString() || "all")));
addEventListener("hashchange", apply);
form.hidden = false;
apply();
