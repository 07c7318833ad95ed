package vault_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/presets"
	"keyflow/internal/fault"
)

func listPresets(t *testing.T) []presets.Preset {
	t.Helper()
	list, err := presets.All()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// secretsOf are values for what a preset leaves open, as its provider would give them.
func secretsOf(typ credentials.TypeName) map[string]any {
	switch typ {
	case credentials.TypeOAuth2:
		return map[string]any{"client_id": "client-1", "client_secret": "canary-Secret-1"}
	case credentials.TypeBasicAuth:
		return map[string]any{"username": "canary-Key-1"}
	default:
		return map[string]any{"secret": "canary-Secret-1"}
	}
}

func TestEveryPresetMakesAValidCredential(t *testing.T) {
	t.Parallel()
	list := listPresets(t)
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	want := []string{
		"atlassian", "freshservice", "github", "github-webhooks", "google", "hubspot", "kakao", "marketo", "microsoft",
		"naver", "salesforce", "shopify-webhooks", "slack", "slack-requests", "stripe-webhooks", "zoom",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("presets (-want +got):\n%s", diff)
	}
	n := online(t)
	for _, p := range list {
		t.Run(p.ID, func(t *testing.T) {
			t.Parallel()
			if docs, err := url.Parse(p.DocsURL); err != nil || docs.Scheme != "https" || p.Name == "" || p.Summary == "" || p.Note == "" {
				t.Errorf("not complete: %+v", p)
			}
			examples := make(map[string]string)
			for _, b := range p.Blanks {
				if b.Label == "" || b.Help == "" || b.Pattern == "" || !strings.Contains(quoted(t, p), `\u003c`+b.Name+`\u003e`) {
					t.Errorf("blank %+v is not complete or not used", b)
				}
				examples[b.Name] = b.Example
			}
			in, wrong := p.Fill(examples)
			if len(wrong) > 0 {
				t.Fatalf("the examples do not fill it: %+v", wrong)
			}
			if strings.ContainsAny(quoted(t, in.Fields)+quoted(t, in.AllowedHosts)+in.TestURL, "<>") || strings.Contains(quoted(t, in), `\u003c`) {
				t.Errorf("a blank is left: %s", quoted(t, in))
			}
			in.ID = credentials.ID(p.ID)
			for name, value := range secretsOf(p.Type) {
				in.Fields[name] = value
			}
			if _, err := n.Create(t.Context(), admin, in); err != nil {
				t.Errorf("create: %v\n%+v", err, fault.ProblemsOf(err))
			}
		})
	}
}

// A blank cannot lead a request, or the client's secret, to another place.
func TestBlanksStayInTheirPlace(t *testing.T) {
	t.Parallel()
	for _, p := range listPresets(t) {
		for _, b := range p.Blanks {
			for _, evil := range []string{
				"evil.example/", "evil.example#", "evil.example?x=", "a@evil.example", "a:b@c", "a/../b", `a\b`, "a b", "a\nb", "%2f", "é", "<tenant>", b.Example + "/x", "javascript:alert(1)", strings.Repeat("a", 1<<20),
			} {
				values := make(map[string]string)
				for _, each := range p.Blanks {
					values[each.Name] = each.Example
				}
				values[b.Name] = evil
				_, wrong := p.Fill(values)
				if len(wrong) != 1 || wrong[0].Path != "/blanks/"+b.Name || wrong[0].Code != "invalid_value" {
					t.Errorf("%s takes %.30q for %s: %+v", p.ID, evil, b.Name, wrong)
				}
			}
		}
	}
}

func TestFillProblems(t *testing.T) {
	t.Parallel()
	marketo, err := presets.Find(listPresets(t), "marketo")
	if err != nil {
		t.Fatal(err)
	}
	github, err := presets.Find(listPresets(t), "github")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		preset presets.Preset
		blanks map[string]string
		want   []string
	}{
		"missing":            {marketo, nil, []string{"/blanks/tenant required: is required: Munchkin account ID, for example 123-ABC-456"}},
		"empty":              {marketo, map[string]string{"tenant": ""}, []string{"/blanks/tenant required: is required: Munchkin account ID, for example 123-ABC-456"}},
		"misshapen":          {marketo, map[string]string{"tenant": "123abc456"}, []string{"/blanks/tenant invalid_value: must match [0-9]{3}-[A-Za-z]{3}-[0-9]{3}, for example 123-ABC-456"}},
		"misspelt":           {marketo, map[string]string{"tenat": "123-abc-456"}, []string{"/blanks/tenant required: is required: Munchkin account ID, for example 123-ABC-456", `/blanks/tenat unknown_field: is not a blank of the preset marketo (did you mean "tenant"?); it has tenant`}},
		"of another":         {marketo, map[string]string{"tenant": "123-abc-456", "region": "eu"}, []string{`/blanks/region unknown_field: is not a blank of the preset marketo; it has tenant`}},
		"none are there":     {github, map[string]string{"tenant": "x"}, []string{`/blanks/tenant unknown_field: is not a blank of the preset github; it has no blanks`}},
		"nothing to fill in": {github, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, wrong := tt.preset.Fill(tt.blanks)
			var got []string
			for _, p := range wrong {
				got = append(got, p.Path+" "+p.Code+": "+p.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := presets.Find(listPresets(t), "marketto"); !fault.Is(err, fault.NotFound) || !strings.HasPrefix(fault.Message(err), `there is no preset "marketto" (did you mean "marketo"?); there are atlassian, `) {
		t.Errorf("unknown preset: %v", err)
	}
}

func TestMarketoPreset(t *testing.T) {
	t.Parallel()
	p, err := presets.Find(listPresets(t), "marketo")
	if err != nil {
		t.Fatal(err)
	}
	in, wrong := p.Fill(map[string]string{"tenant": "123-abc-456"})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	want := credentials.Input{
		Name: "Adobe Marketo", Type: credentials.TypeOAuth2, AllowedHosts: []string{"123-abc-456.mktorest.com"},
		Fields: map[string]any{
			"grant_type": "client_credentials", "access_token_url": "https://123-abc-456.mktorest.com/identity/oauth/token",
			"client_authentication": "body", "placement": "header",
		},
		Limits: &credentials.Limits{Requests: 50, Per: "20s", Concurrency: 5}, FailureRules: p.FailureRules,
	}
	if diff := cmp.Diff(quoted(t, want), quoted(t, in)); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	var actions []string
	for _, r := range p.FailureRules {
		if !r.NotExecuted || !slices.Equal(r.Status, []int{200}) {
			t.Errorf("rule %+v", r)
		}
		actions = append(actions, r.Action+" "+r.Until)
	}
	if diff := cmp.Diff([]string{"renew ", "refuse ", "wait 20s", "quota 00:00 America/Chicago"}, actions); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	in.Fields["scope"] = "changed"
	if _, changed := p.Fields["scope"]; changed {
		t.Error("an input shares data with its preset")
	}
}

// The signing presets accept what the providers send: their own examples, and signatures made
// here as their documentation says.
func TestSigningPresets(t *testing.T) {
	t.Parallel()
	n := online(t)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := func(key, text string) []byte {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	const body = `{"zen":"Keep it logically awesome."}`
	tests := map[string]struct {
		secret, body string
		headers      map[string]string
	}{
		"github-webhooks": { // the example of GitHub's documentation
			"It's a Secret to Everybody", "Hello, World!",
			map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		},
		"stripe-webhooks": {
			"whsec_test", body,
			map[string]string{"Stripe-Signature": "t=" + now + ",v1=" + hex.EncodeToString(mac("whsec_test", now+"."+body)) + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"},
		},
		"slack-requests": {
			"8f742231b10e8888abcd99yyyzzz85a5", body,
			map[string]string{"X-Slack-Request-Timestamp": now, "X-Slack-Signature": "v0=" + hex.EncodeToString(mac("8f742231b10e8888abcd99yyyzzz85a5", "v0:"+now+":"+body))},
		},
		"shopify-webhooks": {
			"hush", body,
			map[string]string{"X-Shopify-Hmac-Sha256": base64.StdEncoding.EncodeToString(mac("hush", body))},
		},
	}
	for id, tt := range tests {
		t.Run(id, func(t *testing.T) { // at once: waiting for its turn it could outlive its timestamp
			p, err := presets.Find(listPresets(t), id)
			if err != nil {
				t.Fatal(err)
			}
			in, wrong := p.Fill(nil)
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			in.ID, in.Fields["secret"], in.Fields["secret_2"] = credentials.ID(id), "canary-another", tt.secret
			if _, err := n.Create(t.Context(), admin, in); err != nil {
				t.Fatalf("%v %+v", err, fault.ProblemsOf(err))
			}
			if err := n.verify(t, in.ID, tt.body, tt.headers); err != nil {
				t.Errorf("a good request: %v", err)
			}
			if err := n.verify(t, in.ID, tt.body+" ", tt.headers); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("another body: %v", err)
			}
			again := n.verify(t, in.ID, tt.body, tt.headers)
			if timed := strings.Contains(quoted(t, p), "{timestamp}"); timed != (again != nil) {
				t.Errorf("the same request again: %v", again)
			}
			late := online(t)
			late.advance(6 * time.Minute)
			if _, err := late.Create(t.Context(), admin, in); err != nil {
				t.Fatal(err)
			}
			if err, timed := late.verify(t, in.ID, tt.body, tt.headers), fmt.Sprint(p.Fields["template"]) != "{body}"; timed != (err != nil) {
				t.Errorf("six minutes later: %v", err)
			}
		})
	}
}
