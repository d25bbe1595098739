// The page's elements, found and made. Text is set as text, so a name is never markup.

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no element #${id}`);
  return found;
}

export function element(tag: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** Changes a text only when it differs: screen readers and layout are left alone otherwise. */
export function setText(target: Element | null | undefined, text: string): void {
  if (target !== null && target !== undefined && target.textContent !== text) target.textContent = text;
}
