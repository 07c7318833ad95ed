// A run as it goes on: read once, then followed over a stream; asked for again and again when
// the stream does not come through; left alone while nobody looks.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useDocumentVisibility } from '@mantine/hooks';
import { useEffect, useState } from 'react';
import { followRun, type StreamState } from '../../api/follow';
import { queries } from '../../api/queries';
import { runs } from '../../api/resources';
import { addSteps } from '../../api/steps';
import { isUnfinished, type RunUpdate } from '../../api/types';
import { merge } from './merge';

export type LiveState = StreamState | 'paused';

/** How often a run is asked for while its stream does not come through. */
const pollEvery = 2_000;
/** A tab that was out of sight for so long gives up its connection: browsers have six. */
const hiddenFor = 30_000;

export function useLiveRun(id: string) {
  const client = useQueryClient();
  const [stream, setStream] = useState<StreamState>('connecting');
  const [paused, setPaused] = useState(false);
  const hidden = useLongHidden();
  const run = useQuery({ ...queries.run(id), refetchInterval: stream === 'blocked' && !paused && !hidden ? pollEvery : false });
  const unfinished = run.data !== undefined && isUnfinished(run.data.status);
  const following = unfinished && run.isFetchedAfterMount && !paused && !hidden;

  useEffect(() => {
    if (!following) return undefined;
    const { queryKey } = queries.run(id);
    // Events do not carry the whole output, so at its end the run is read once more.
    const ended = () => {
      void client.invalidateQueries({ queryKey });
      void client.invalidateQueries({ queryKey: ['runs', 'list'] });
    };
    return followRun(id, {
      onState: (state) => {
        setStream(state);
        if (state === 'live') void client.cancelQueries({ queryKey }); // an answer under way is older than the stream
      },
      onUpdates: (updates: RunUpdate[]) => {
        const next = client.setQueryData(queryKey, (known) => known && merge(known, updates));
        if (next && !isUnfinished(next.status)) ended();
      },
      onEnd: ended,
    });
  }, [client, id, following]);

  return {
    run,
    unfinished,
    state: (paused || hidden ? 'paused' : stream) satisfies LiveState as LiveState,
    setPaused,
    /** After an action: the stream tells by itself, without it the run is read again. */
    refresh: () => {
      if (!following || stream !== 'live') void run.refetch();
    },
  };
}

/** Loads the next page of a run's steps. */
export function useMoreSteps(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (cursor: string) => runs.steps(id, cursor),
    onSuccess: (page, cursor) => {
      client.setQueryData(queries.run(id).queryKey, (known) => (known?.steps_cursor === cursor ? addSteps(known, page) : known));
    },
  });
}

function useLongHidden(): boolean {
  const visible = useDocumentVisibility() !== 'hidden';
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(!visible), visible ? 0 : hiddenFor);
    return () => clearTimeout(timer);
  }, [visible]);
  return long;
}
