import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useRouter } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { session } from '../../api/resources';
import { Failure } from '../../components/feedback';
import { SessionFrame } from './frame';

const route = getRouteApi('/signin');

/** Only a path of this page may follow a sign-in: never another site. */
export function safeNext(next: string | undefined): string {
  return next?.startsWith('/') && !next.startsWith('//') && !next.includes('\\') ? next : '/credentials';
}

export function SignInPage() {
  const { t } = useTranslation();
  const { next } = route.useSearch();
  const router = useRouter();
  const client = useQueryClient();
  const setUpOpen = useQuery(queries.setUpOpen());
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const signIn = useMutation({
    mutationFn: () => session.signIn(username, password),
    onSuccess: () => {
      client.clear();
      router.history.push(router.history.createHref(safeNext(next)));
    },
  });
  const refused = signIn.error instanceof ApiError && signIn.error.status === 401;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  return (
    <SessionFrame title={t('signIn.title')}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          {refused && (
            <Alert color="red" role="alert">
              {t('signIn.refused')}
            </Alert>
          )}
          {signIn.isError && !refused && <Failure error={signIn.error} />}
          <TextInput
            label={t('signIn.username')}
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            required
            data-autofocus
            autoFocus
            value={username}
            onChange={(event) => setUsername(event.currentTarget.value)}
          />
          <PasswordInput
            label={t('signIn.password')}
            name="password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Button type="submit" size="sm" mt="xs" loading={signIn.isPending}>
            {t('signIn.submit')}
          </Button>
          {setUpOpen.data && (
            <Text size="xs" c="dimmed">
              {t('signIn.firstTime')}{' '}
              <Anchor component={Link} to="/setup" size="xs" underline="always">
                {t('signIn.toSetup')}
              </Anchor>
            </Text>
          )}
        </Stack>
      </form>
    </SessionFrame>
  );
}
