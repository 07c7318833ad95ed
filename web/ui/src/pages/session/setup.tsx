import { Button, Code, List, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useRouter, useRouterState } from '@tanstack/react-router';
import { useEffect, useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { session } from '../../api/resources';
import { Failure } from '../../components/feedback';
import { SessionFrame } from './frame';

const route = getRouteApi('/setup');

/** The one-time token of a set-up link: ?token=T, #token=T or #T. */
export function tokenFrom(query: string | undefined, hash: string): string {
  if (query) return query;
  const text = hash.replace(/^#/, '');
  return new URLSearchParams(text).get('token') ?? (text.includes('=') ? '' : text);
}

export function SetupPage() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const router = useRouter();
  const client = useQueryClient();
  const open = useQuery(queries.setUpOpen());
  const hash = useRouterState({ select: (state) => state.location.hash });
  const [token, setToken] = useState('');
  const [linked, setLinked] = useState(false);
  const found = tokenFrom(search.token, hash);
  if (found !== '' && found !== token) {
    setToken(found);
    setLinked(true);
  }
  const [username, setUsername] = useState('admin');
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const differs = repeated !== '' && repeated !== password;

  // The token leaves the address bar at once: it must not stay in the history.
  useEffect(() => {
    if (found !== '') void router.navigate({ to: '/setup', search: {}, replace: true });
  }, [router, found]);

  const setUp = useMutation({
    mutationFn: () => session.setUp({ token: token.trim(), username, password }),
    onSuccess: () => {
      client.clear();
      void router.navigate({ to: '/credentials' });
    },
  });
  const problem = setUp.error instanceof ApiError ? setUp.error : undefined;
  const at = (pointer: string) => problem?.at(pointer).join(' ') || undefined;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (password === repeated) setUp.mutate();
  };
  if (open.data === false && !setUp.isPending && !setUp.isSuccess) {
    return (
      <SessionFrame title={t('setup.title')} text={t('setup.closed')}>
        <Button component={Link} to="/signin" size="sm">
          {t('signIn.title')}
        </Button>
      </SessionFrame>
    );
  }
  return (
    <SessionFrame title={t('setup.title')} text={t('setup.text')}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          {setUp.isError && <Failure error={setUp.error} />}
          {!linked && (
            <>
              <Text size="sm">{t('setup.where')}</Text>
              <List size="sm" spacing={2}>
                <List.Item>{t('setup.whereOutput')}</List.Item>
                <List.Item>
                  {t('setup.whereFile')} <Code>keyflow-data/setup-link</Code>
                </List.Item>
              </List>
              <TextInput
                label={t('setup.token')}
                required
                autoComplete="off"
                spellCheck={false}
                value={token}
                error={at('/token')}
                onChange={(event) => setToken(tokenOfPasted(event.currentTarget.value))}
              />
            </>
          )}
          <TextInput
            label={t('signIn.username')}
            name="username"
            autoComplete="username"
            required
            value={username}
            error={at('/username')}
            onChange={(event) => setUsername(event.currentTarget.value)}
          />
          <PasswordInput
            label={t('signIn.password')}
            description={t('setup.passwordHelp')}
            name="password"
            autoComplete="new-password"
            required
            autoFocus={linked}
            value={password}
            error={at('/password')}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <PasswordInput
            label={t('setup.repeat')}
            autoComplete="new-password"
            required
            value={repeated}
            error={differs ? t('setup.differs') : undefined}
            onChange={(event) => setRepeated(event.currentTarget.value)}
          />
          <Button type="submit" size="sm" mt="xs" loading={setUp.isPending}>
            {t('setup.submit')}
          </Button>
        </Stack>
      </form>
    </SessionFrame>
  );
}

// People paste the whole link as often as the token alone.
function tokenOfPasted(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  return tokenFrom(url.searchParams.get('token') ?? undefined, url.hash) || text;
}
