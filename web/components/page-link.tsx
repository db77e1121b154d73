import type { ReactNode } from 'react';

interface PageLinkProps {
  to: string;
  goTo(path: string): void;
  className?: string;
  label?: string;
  children: ReactNode;
}

/** A link within the page: it keeps the board, and can still be opened in a new tab. */
export function PageLink({ to, goTo, className, label, children }: PageLinkProps) {
  return (
    <a
      href={to}
      className={className}
      aria-label={label}
      title={label}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        goTo(to);
      }}
    >
      {children}
    </a>
  );
}
