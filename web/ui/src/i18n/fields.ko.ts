// Korean words for the authentication types and their fields, by "type.field" or "field".
import type { FieldWords } from './fields';

const places = { header: '헤더', query: '쿼리', cookie: '쿠키', body: '본문', none: '없음' };

export const koTypes: Record<string, { label: string; summary: string }> = {
  no_auth: { label: 'No Auth (인증 없음)', summary: '요청을 그대로 보냅니다.' },
  basic_auth: { label: 'Basic Auth (기본 인증)', summary: 'Authorization 헤더에 사용자 이름과 비밀번호를 보냅니다.' },
  api_key: { label: 'API Key (API 키)', summary: '고정된 값을 헤더, 쿼리 매개변수 또는 쿠키에 넣습니다.' },
  oauth2: { label: 'OAuth 2.0', summary: 'Keyflow가 액세스 토큰을 발급받고 갱신합니다.' },
};

export const koFields: Record<string, FieldWords> = {
  username: {
    label: '사용자 이름',
    help: 'API 키를 사용자 이름으로 받는 서비스라면 “사용자 이름 숨김”도 켜세요.',
  },
  password: { label: '비밀번호', help: '비워 둘 수 있습니다. 아무 글자나 받는 서비스도 있습니다(예: x).' },
  username_secret: { label: '사용자 이름 숨김', help: '사용자 이름을 암호화하고 다시 표시하지 않습니다.' },
  key: { label: '키', help: '헤더, 쿼리 매개변수 또는 쿠키의 이름입니다(예: X-Api-Key).' },
  value: { label: '값', help: '키 자체입니다.' },
  in: {
    label: '추가 위치',
    help: '쿼리 값은 중간 서버의 로그에 남는 일이 많으므로 헤더를 권합니다.',
    choices: places,
  },
  'api_key.prefix': { label: '접두어', help: '값 앞에 공백까지 그대로 붙습니다(예: "Token ").' },
  grant_type: {
    label: '권한 부여 유형',
    help: '인증 코드: 사람이 연결 단추로 한 번 로그인합니다. 클라이언트 자격 증명: 클라이언트가 스스로 인증합니다.',
    choices: { authorization_code: '인증 코드', client_credentials: '클라이언트 자격 증명' },
  },
  authorization_url: { label: '인증 URL', help: '사람이 로그인하고 동의하는 주소입니다.' },
  access_token_url: {
    label: '액세스 토큰 URL',
    help: '토큰을 발급받는 주소입니다. 이 호스트는 토큰 요청에만 허용됩니다.',
  },
  refresh_url: { label: '갱신 URL', help: '토큰을 갱신하는 주소가 다를 때만 적습니다.' },
  client_id: { label: '클라이언트 ID', help: '서비스 제공자에 등록한 값입니다.' },
  client_secret: { label: '클라이언트 비밀', help: '공개 클라이언트(클라이언트 인증 없음)라면 비워 둡니다.' },
  scope: { label: '범위', help: '공백으로 구분합니다.' },
  client_authentication: {
    label: '클라이언트 인증',
    help: '클라이언트 ID와 비밀을 토큰 URL로 보내는 방법입니다. 추측하지 않습니다. 실패한 첫 시도가 일회용 코드를 써 버릴 수 있기 때문입니다.',
    choices: places,
  },
  pkce: {
    label: 'PKCE',
    help: '코드 교환 증명 키, S256(RFC 7636). 거부하는 제공자일 때만 끄세요.',
  },
  authorize_params: { label: '인증 매개변수', help: '인증 URL에 덧붙입니다(예: access_type=offline).' },
  token_method: { label: '토큰 요청 메서드', help: 'GET은 모든 값을 쿼리 매개변수로 보냅니다.' },
  token_body: { label: '토큰 요청 본문', help: 'POST가 매개변수를 싣는 형식입니다.' },
  token_params: {
    label: '토큰 매개변수',
    help: '첫 토큰 요청에 덧붙입니다(예: audience). 값이 표시되므로 비밀을 적지 마세요.',
  },
  refresh_params: {
    label: '갱신 매개변수',
    help: '토큰 갱신 요청에 덧붙입니다. 값이 표시되므로 비밀을 적지 마세요.',
  },
  token_headers: {
    label: '토큰 헤더',
    help: '모든 토큰 요청에 덧붙입니다. 값이 표시되므로 비밀을 적지 마세요.',
  },
  scope_separator: { label: '범위 구분자', help: '제공자가 범위 사이에 요구하는 글자입니다. 표준은 공백입니다.' },
  access_token_path: { label: '액세스 토큰 경로', help: '응답에서 토큰이 있는 곳입니다(예: data.token).' },
  refresh_token_path: { label: '갱신 토큰 경로', help: '응답에서 갱신 토큰이 있는 곳입니다.' },
  expires_in_path: { label: '유효 시간 경로', help: '응답에서 남은 유효 시간이 있는 곳입니다.' },
  expires_in_unit: {
    label: '유효 시간 단위',
    help: '표준은 초입니다.',
    choices: { seconds: '초', milliseconds: '밀리초', minutes: '분', hours: '시간' },
  },
  default_lifetime: {
    label: '기본 유효 시간',
    help: '제공자가 알려 주지 않을 때 씁니다(예: 1h). 없으면 거부될 때까지 토큰을 씁니다.',
  },
  placement: {
    label: '토큰 위치',
    help: '쿼리 값은 중간 서버의 로그에 남는 일이 많으므로 헤더를 권합니다.',
    choices: places,
  },
  header_name: { label: '헤더', help: '토큰을 싣는 헤더입니다.' },
  'oauth2.prefix': { label: '접두어', help: '토큰 앞에 공백까지 그대로 붙습니다.' },
  query_name: { label: '쿼리 매개변수', help: '토큰을 싣는 쿼리 매개변수입니다.' },
};
