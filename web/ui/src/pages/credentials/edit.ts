import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { credentials, type Revised } from '../../api/resources';
import type { Credential, CredentialType } from '../../api/types';
import { useNotify } from '../../components/notify';
import { draftOf, inputOf, patchOf, reachesWorkflows, type Draft, type Patch } from './draft';

/** The state of editing: the record the draft began from, the draft, saving, testing, conflict. */
export function useEdit(credential: Revised<Credential>, type: CredentialType) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const [base, setBase] = useState(credential);
  const [draft, setDraft] = useState(() => draftOf(credential, type));
  const [conflict, setConflict] = useState<Revised<Credential> | null>(null);
  const patch: Patch = patchOf(draft, base, type);
  const dirty = Object.keys(patch).length > 0;

  const begin = (from: Revised<Credential>) => {
    setBase(from);
    setDraft(draftOf(from, type));
    setConflict(null);
  };
  // A newer revision arrives while nothing is being edited: show it.
  if (!dirty && credential.etag !== base.etag) begin(credential);

  const save = useMutation({
    mutationFn: (etag: string | null) => credentials.patch(base.id, patch, etag),
    onSuccess: (saved) => {
      client.setQueryData(queries.credential(base.id).queryKey, saved);
      begin(saved);
      review.reset();
      void client.invalidateQueries({ queryKey: ['credentials'] });
      notify('done', t('credentials.saved', { name: saved.name }));
    },
    onError: async (error) => {
      review.reset();
      if (error instanceof ApiError && error.status === 412) setConflict(await credentials.get(base.id));
    },
  });
  // Before what reaches workflows is saved, whoever saves sees which; nobody is asked about none.
  const review = useMutation({
    mutationFn: async () => (reachesWorkflows(patch) ? await credentials.usages(base.id) : []),
    onSuccess: (usages) => {
      if (usages.length === 0) save.mutate(base.etag);
    },
  });
  const test = useMutation({ mutationFn: () => credentials.testInput(inputOf(draft, type, base)) });

  const discard = () => {
    begin(conflict ?? credential);
    if (conflict) client.setQueryData(queries.credential(base.id).queryKey, conflict);
    save.reset();
    review.reset();
    test.reset();
  };
  const failure = save.error ?? test.error;
  return {
    base,
    draft,
    patch,
    dirty,
    conflict,
    save,
    review,
    test,
    discard,
    problem: failure instanceof ApiError ? failure : undefined,
    dismissConflict: () => setConflict(null),
    change: (next: Draft) => {
      setDraft(next);
      if (test.data) test.reset();
    },
  };
}
