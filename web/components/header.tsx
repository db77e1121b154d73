import type { Connection, Model } from '@inferql/client';
import type { Api } from '../state/api.ts';
import { useConnection } from './hooks.ts';
import { PageLink } from './page-link.tsx';

const CONNECTION_WORDS: Record<Connection, string> = {
  idle: 'Connecting…',
  connecting: 'Connecting…',
  websocket: 'Live',
  'event-stream': 'Live (event stream)',
  polling: 'Updating every second',
};

interface HeaderProps {
  api: Api;
  models: readonly Model[];
  /** The chosen model's name; undefined means the default one. */
  model: string | undefined;
  onModel(name: string | undefined): void;
  goTo(path: string): void;
}

/** Name, connection, model chooser and the link to GraphiQL. */
export function Header({ api, models, model, onModel, goTo }: HeaderProps) {
  const connection = useConnection(api);
  const current = models.find(({ name }) => name === model) ?? models[0];
  return (
    <header className="header">
      <h1 className="wordmark">
        <PageLink to="/" goTo={goTo}>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" />
            <path d="M8 9h16M8 16h11M8 23h6" />
          </svg>
          InferQL
        </PageLink>
      </h1>
      <p className="connection" data-connection={connection} role="status">
        {CONNECTION_WORDS[connection]}
      </p>
      <label className="model-chooser">
        <span>Model</span>
        <select
          value={current?.name ?? ''}
          disabled={models.length === 0}
          title={current?.description}
          onChange={({ target }) => onModel(target.value)}
        >
          {models.length === 0 && <option value="">none yet</option>}
          {models.map(({ name, precision }) => (
            <option key={name} value={name}>
              {precision === 'INT8' && !name.includes('int8') ? `${name} (int8)` : name}
            </option>
          ))}
        </select>
      </label>
      <a className="header-link" href="/graphql">
        GraphiQL
      </a>
    </header>
  );
}
