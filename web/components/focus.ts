/**
 * Moves the focus before cards are removed: to the next card that stays, or the previous one, or to the button that adds images. Without
 * it, the keyboard would begin at the top of the page again.
 * @param item the card's list item; null if several cards go at once
 */
export function moveFocus(item: HTMLElement | null): void {
  const neighbor = item?.nextElementSibling ?? item?.previousElementSibling;
  const target = neighbor?.querySelector('button, a') ?? document.querySelector('.add-photos .button-primary');
  (target as HTMLElement | null)?.focus({ preventScroll: true });
}
