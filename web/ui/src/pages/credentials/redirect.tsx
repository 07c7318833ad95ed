import { Alert, Group, Input, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { basePath } from '../../api/client';
import { queries } from '../../api/queries';
import { Copy } from '../../components/copy';
import { Icon } from '../../components/icons';

/** Whether a URL belongs to another origin than the one this page was opened at. */
export function differs(url: string, origin: string): boolean {
  return URL.canParse(url) && new URL(url).origin !== origin;
}

/** The URL to register with the provider; the server makes it from its public URL. */
export function RedirectURL({ stored }: { stored?: string }) {
  const { t } = useTranslation();
  const { data } = useQuery(queries.session());
  const url = stored ?? data?.redirect_url ?? `${window.location.origin}${basePath}/api/_/credentials/oauth_callback`;
  return (
    <Stack gap="xs">
      <Input.Wrapper label={t('form.redirectUrl')} description={t('form.redirectHelp')} labelElement="div">
        <Group gap="xs" className="kf-secret" justify="space-between" wrap="nowrap" mt={4}>
          <span className="kf-mono" data-testid="redirect-url">
            {url}
          </span>
          <Copy value={url} name={t('form.redirectUrl')} />
        </Group>
      </Input.Wrapper>
      {differs(url, window.location.origin) && (
        <Alert color="orange" icon={<Icon name="alert" />}>
          {t('form.redirectDiffers', { origin: window.location.origin, url: new URL(url).origin })}
        </Alert>
      )}
    </Stack>
  );
}
