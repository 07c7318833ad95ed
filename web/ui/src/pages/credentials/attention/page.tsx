import { Alert, Anchor, Box, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import { StateBadge } from '../../../components/badges';
import { CopyableID } from '../../../components/copy';
import { Empty, Failure, Loading } from '../../../components/feedback';
import { PageHead } from '../../../components/layout';
import { When } from '../../../components/when';
import { reasonOf } from '../expires';
import { useTrail } from '../trail';
import { inOrder, type Concern } from './order';

/** Everything that has stopped working or will, in the order of when. */
export function AttentionPage() {
  const { t } = useTranslation();
  const trail = useTrail(true);
  const list = useQuery(queries.attention());
  const concerns = inOrder(list.data?.items ?? []);
  return (
    <>
      <PageHead
        trail={trail}
        title={t('attention.title')}
        name={t('attention.title')}
        below={
          <Text size="sm" c="dimmed">
            {t('attention.help')}
          </Text>
        }
      />
      {list.data?.more && <Alert color="orange">{t('attention.more', { count: concerns.length })}</Alert>}
      <div className="kf-card">
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        {list.isSuccess && concerns.length === 0 && (
          <Empty
            title={t('attention.emptyTitle')}
            action={
              <Anchor component={Link} to="/credentials" size="sm">
                {t('nav.credentials')}
              </Anchor>
            }
          >
            {t('attention.emptyText')}
          </Empty>
        )}
        {concerns.length > 0 && <ConcernTable concerns={concerns} />}
      </div>
    </>
  );
}

function ConcernTable({ concerns }: { concerns: Concern[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={340}>
      <Table className="kf-table" aria-label={t('attention.title')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('credentials.name')}</Table.Th>
            <Table.Th>{t('attention.when')}</Table.Th>
            <Table.Th visibleFrom="md">{t('credentials.state')}</Table.Th>
            <Table.Th visibleFrom="md">{t('credentials.usedBy')}</Table.Th>
            <Table.Th>{t('attention.remedy')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {concerns.map((concern) => (
            <ConcernRow key={concern.credential.id} concern={concern} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function ConcernRow({ concern }: { concern: Concern }) {
  const { t } = useTranslation();
  const { credential, stopped, at } = concern;
  const { state } = credential;
  const due = credential.expires?.reason === 'rotate_every' && !stopped;
  return (
    <Table.Tr>
      <Table.Td>
        <Link to="/credentials/$id" params={{ id: credential.id }}>
          {credential.name}
        </Link>
        <Text size="xs" c="dimmed" component="div">
          <CopyableID id={credential.id} name={credential.id} />
        </Text>
        <Box hiddenFrom="md" mt={4}>
          <StateBadge state={{ status: state.status, message: '' }} />
        </Box>
      </Table.Td>
      <Table.Td>
        <Text size="xs" c="dimmed">
          {stopped ? t('attention.stopped') : due ? t('attention.due') : t('attention.stops')}
        </Text>
        <When time={at} />
      </Table.Td>
      <Table.Td maw={300} visibleFrom="md">
        <StateBadge state={{ status: state.status, message: '' }} />
        {reasonOf(state) && (
          <Text size="xs" c="dimmed" lineClamp={3} mt={2}>
            {reasonOf(state)}
          </Text>
        )}
      </Table.Td>
      <Table.Td className="kf-nowrap" visibleFrom="md">
        {t('credentials.usedByCount', { count: credential.used_by ?? 0 })}
      </Table.Td>
      <Table.Td maw={300}>
        <RemedyCell concern={concern} />
      </Table.Td>
    </Table.Tr>
  );
}

/** What to do, and the way to where it is done. */
function RemedyCell({ concern }: { concern: Concern }) {
  const { t } = useTranslation();
  const { credential, remedy } = concern;
  const params = { id: credential.id };
  return (
    <>
      <Text size="sm">{t(`attention.do_${remedy}`)}</Text>
      {(remedy === 'newSecret' || remedy === 'rotate' || remedy === 'extend') && (
        <Link className="kf-do" to="/credentials/$id/rotate" params={params}>
          {t('rotation.enterNew')}
        </Link>
      )}
      {(remedy === 'connect' || remedy === 'reconnect') && (
        <Link className="kf-do" to="/credentials/$id" params={params} search={{ connect: '1' }}>
          {t(`connect.${remedy}`)}
        </Link>
      )}
    </>
  );
}
