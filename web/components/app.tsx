import { useEffect, useRef, useState } from 'react';
import type { Api } from '../state/api.ts';
import type { Board } from '../state/board.ts';
import type { Dropped } from '../state/dropped-files.ts';
import { readPredictionId } from '../state/location.ts';
import { AddPhotos } from './add-photos.tsx';
import { Announcer } from './announcer.tsx';
import { BoardView } from './board-view.tsx';
import { DropAnywhere } from './drop-anywhere.tsx';
import { Header } from './header.tsx';
import { useCards, useModels, usePath } from './hooks.ts';
import { KeyForm, type KeyFormProps } from './key-form.tsx';
import { Notice } from './notice.tsx';
import { PredictionPage } from './prediction-page.tsx';
import { QueueStrip } from './queue-strip.tsx';

interface AppProps {
  api: Api;
  board: Board;
  /** The names of images that had not been sent when the page was left. */
  notSent: readonly string[];
  /** Given while the server requires another key: only its form is shown. */
  keyForm: KeyFormProps | undefined;
}

/** The page. Everything on it depends on the api and the board. What was chosen on it stays while it asks for a key. */
export function App({ api, board, notSent, keyForm }: AppProps) {
  const models = useModels(api);
  const [chosen, setChosen] = useState<string>();
  const model = models.some(({ name }) => name === chosen) ? chosen : undefined;
  const cards = useCards(board);
  const [lost, setLost] = useState(notSent);
  const [{ leftOut, unreadable }, setSkipped] = useState<Omit<Dropped, 'files'>>({ leftOut: [], unreadable: [] });
  const [path, goTo] = usePath();
  const predictionId = readPredictionId(path);

  useEffect(() => {
    if (predictionId !== undefined) board.open(predictionId);
  }, [board, predictionId]);

  const add = (files: File[]) => {
    board.add(files, model);
    if (predictionId !== undefined) goTo('/');
  };

  const main = useRef<HTMLElement>(null);
  const shownId = useRef(predictionId);
  useEffect(() => {
    if (shownId.current === predictionId) return;
    shownId.current = predictionId;
    // As after a page load: a screen reader starts again, and the next tab stop is in the new content.
    main.current?.focus({ preventScroll: true });
  }, [predictionId]);

  if (keyForm) return <KeyForm {...keyForm} />;
  return (
    <div className="page">
      <Header api={api} models={models} model={model} onModel={setChosen} goTo={goTo} />
      <main ref={main} tabIndex={-1}>
        <QueueStrip api={api} model={model} />
        <DropAnywhere onFiles={add} onSkipped={setSkipped} />
        {/* Exists from the start: a screen reader announces only what is added to it later. */}
        <div role="status">
          {lost.length > 0 && (
            <Notice
              title="Not sent before the page was closed. Add them again:"
              names={lost}
              onClose={() => setLost([])}
            />
          )}
          {leftOut.length > 0 && (
            <Notice
              title="Skipped, because they are not images:"
              names={leftOut}
              onClose={() => setSkipped({ leftOut: [], unreadable })}
            />
          )}
          {unreadable.length > 0 && (
            <Notice
              title="Skipped, because the browser cannot read them:"
              names={unreadable}
              onClose={() => setSkipped({ leftOut, unreadable: [] })}
            />
          )}
        </div>
        {predictionId === undefined ? (
          <>
            <AddPhotos onFiles={add} />
            <BoardView cards={cards} board={board} models={models} goTo={goTo} />
          </>
        ) : (
          <PredictionPage
            key={predictionId}
            id={predictionId}
            cards={cards}
            board={board}
            models={models}
            goTo={goTo}
          />
        )}
      </main>
      <Announcer cards={cards} />
    </div>
  );
}
