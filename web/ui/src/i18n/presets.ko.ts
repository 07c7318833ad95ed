// Korean words for presets, by id, and for their blanks, by "preset.blank".
export const koPresets: Record<string, { summary: string; note: string }> = {
  atlassian: {
    summary: '사용자를 대신해 Jira와 Confluence Cloud를 호출합니다.',
    note: '클라이언트 ID와 비밀: developer.atlassian.com 앱의 Settings. offline_access가 한 번만 쓰이는 갱신 토큰을 가져오므로 앱 하나에 자격 증명 하나만 두세요.',
  },
  freshservice: {
    summary: 'API 키로 Freshservice 계정의 API v2를 호출합니다.',
    note: '사용자 이름에 API 키(프로필 설정)를 넣으세요. 비밀번호처럼 봉인됩니다. 비밀번호는 영문자 x입니다.',
  },
  github: {
    summary: '사용자를 대신해 GitHub REST, GraphQL API를 호출합니다.',
    note: '클라이언트 ID와 비밀: Settings, Developer settings, OAuth Apps. OAuth 앱의 토큰은 만료되지 않습니다.',
  },
  'github-webhooks': { summary: 'GitHub가 보내는 웹훅을 검증합니다.', note: 'GitHub 웹훅 설정에 입력한 비밀과 같은 값입니다.' },
  google: {
    summary: '사용자를 대신해 Google API를 호출합니다.',
    note: '클라이언트 ID와 비밀: Google Cloud 콘솔의 API 및 서비스, 사용자 인증 정보, 웹 애플리케이션 OAuth 클라이언트. 호출할 API의 범위를 적으세요.',
  },
  hubspot: {
    summary: '계정의 HubSpot API를 호출합니다.',
    note: '클라이언트 ID와 비밀: 개발자 계정, 앱의 Auth 페이지. 앱의 범위를 적으세요.',
  },
  kakao: {
    summary: '사용자를 대신해 카카오 API를 호출합니다.',
    note: '클라이언트 ID: developers.kakao.com 앱의 REST API 키. 클라이언트 비밀: 카카오 로그인, 보안에서 활성화해야 합니다. 동의 항목을 범위로 적으세요.',
  },
  marketo: {
    summary: 'Marketo 인스턴스의 REST API를 호출합니다(2-legged OAuth 2.0).',
    note: '클라이언트 ID와 비밀: Admin, LaunchPoint, API 전용 사용자의 사용자 지정 서비스. 테넌트는 Munchkin 계정 ID입니다.',
  },
  microsoft: {
    summary: '사용자를 대신해 Microsoft Graph를 호출합니다(Entra ID).',
    note: '클라이언트 ID와 비밀: Entra 관리 센터, 앱 등록. 갱신 토큰을 가져오는 offline_access 뒤에 필요한 Graph 범위를 적으세요.',
  },
  naver: {
    summary: '사용자를 대신해 네이버 API를 호출합니다.',
    note: '클라이언트 ID와 비밀: developers.naver.com 애플리케이션 개요. 네이버는 유효 시간을 문자열로 알려 주며 그대로 이해합니다.',
  },
  salesforce: {
    summary: '사용자를 대신해 Salesforce REST API를 호출합니다.',
    note: '클라이언트 ID(소비자 키)와 비밀: 설정, 앱 관리자, 연결된 앱. 유효 시간을 알려 주지 않으므로 거부될 때까지 토큰을 쓰고 그때 갱신합니다.',
  },
  'shopify-webhooks': {
    summary: 'Shopify가 보내는 웹훅을 검증합니다.',
    note: '앱의 클라이언트 비밀이며, 관리자에서 만든 웹훅이라면 목록 아래에 표시되는 값입니다.',
  },
  slack: {
    summary: '봇으로 Slack Web API를 호출합니다.',
    note: '클라이언트 ID와 비밀: api.slack.com/apps, Basic Information. 봇 범위를 공백으로 구분해 적으세요.',
  },
  'slack-requests': {
    summary: 'Slack이 보내는 이벤트, 명령, 상호 작용을 검증합니다.',
    note: '앱의 서명 비밀입니다: api.slack.com/apps, Basic Information.',
  },
  'stripe-webhooks': {
    summary: 'Stripe가 보내는 이벤트를 검증합니다.',
    note: '엔드포인트의 서명 비밀이며 whsec_까지 그대로 넣습니다: Workbench, Webhooks.',
  },
  zoom: {
    summary: '계정의 Zoom API를 호출합니다(Server-to-Server OAuth).',
    note: '계정 ID, 클라이언트 ID와 비밀: Zoom App Marketplace의 Server-to-Server OAuth 앱.',
  },
};

export const koBlanks: Record<string, { label: string; help: string }> = {
  'marketo.tenant': { label: 'Munchkin 계정 ID', help: 'Admin, Integration, Munchkin. REST 엔드포인트의 앞부분이기도 합니다.' },
  'freshservice.domain': { label: '계정', help: '주소 acme.freshservice.com의 첫 부분입니다.' },
  'microsoft.tenant': { label: '테넌트', help: '디렉터리의 ID나 도메인입니다. 모든 조직의 계정이면 organizations입니다.' },
  'salesforce.domain': { label: '내 도메인', help: '주소 acme.my.salesforce.com의 첫 부분입니다. 샌드박스는 acme--test.sandbox입니다.' },
  'zoom.account': { label: '계정 ID', help: '앱 페이지에서 클라이언트 ID 옆에 있습니다.' },
};
