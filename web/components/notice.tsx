import { moveFocus } from './focus.ts';

const MAX_NAMES = 5;

interface NoticeProps {
  /** What happened, as text that precedes the names. */
  title: string;
  names: readonly string[];
  onClose(): void;
}

/** A sentence about files that got no card. */
export function Notice({ title, names, onClose }: NoticeProps) {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return (
    <p className="notice">
      <span>{`${title} ${shown}${more}.`}</span>
      <button
        type="button"
        className="button button-quiet"
        onClick={() => {
          moveFocus(null);
          onClose();
        }}
      >
        Close
      </button>
    </p>
  );
}
