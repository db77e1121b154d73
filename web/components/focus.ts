/**
 * Moves the focus before cards or a notice are removed: to the next card that stays, or the previous one, or to the button that adds
 * images, or the page's content. Without it, the keyboard would begin at the top of the page again.
 * @param item the card's list item; null if several cards, or none, go at once
 */
export function moveFocus(item: HTMLElement | null): void {
  const neighbor = item?.nextElementSibling ?? item?.previousElementSibling;
  const target =
    neighbor?.querySelector('button, a') ??
    document.querySelector('.add-photos .button-primary') ??
    document.querySelector('main');
  (target as HTMLElement | null)?.focus({ preventScroll: true });
}
