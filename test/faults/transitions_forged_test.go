package faults

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// byForgers are what becomes of a line that somebody else wrote into status. What the operator
// cannot have written is not signed again: a new token follows it, and nothing of the line
// before is accepted. Ready is taken back until the Secret is written. The clock stands still.
var forgeryTransitions = []*transition{
	{
		name: "forged hash", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { s.TokenHash = token.Hash(forgery) }),
	},
	{
		name: "forged content with a hash of its own", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) {
			forgeContent(s, `{`, `{"scope":"`+forgery+`",`)
			s.TokenHash = token.Hash(forgery)
		}),
	},
	{
		name: "content of another key", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) {
			forgeContent(s, `"name":"`+keyName+`"`, `"name":"`+forgery+`"`)
		}),
	},
	{
		name: "content that is none", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) {
			s.Content = &apiextensionsv1.JSON{Raw: []byte(`{"` + forgery + `":1}`)}
		}),
	},
	{
		name: "a line without content", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { s.Content = nil }),
	},
	{
		name: "forged end", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) {
			s.ExpiresAt = &metav1.Time{Time: s.ExpiresAt.Add(1000 * time.Hour)}
		}),
	},
	{
		name: "forged revision", writes: 3, refusesOld: true, want: outcome{advanced: 7, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { s.Revision = 7 }),
	},
	{
		name: "forged kid", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { s.KeyID = forgery }),
	},
	{
		// The token itself is genuine, as its hash shows, and says less than what was forged.
		name: "forged content with the true hash", writes: 3, want: outcome{advanced: 1, superseded: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { forgeContent(s, `{`, `{"scope":"`+forgery+`",`) }),
	},
	{
		name: "status wiped", writes: 1, want: outcome{also: sameToken},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { *s = v1alpha1.JWTRefreshKeyStatus{} }),
	},
}

const forgery = "forged"

// forge writes a status as nobody can who is not the operator, or the administrator of etcd.
func forge(change func(*v1alpha1.JWTRefreshKeyStatus)) func(*crashCase) {
	return func(c *crashCase) {
		forger, err := client.New(c.manager, client.Options{Scheme: controllers.Scheme()})
		c.Expect(err).NotTo(gomega.HaveOccurred())
		c.Eventually(func() error {
			key, err := get(c.harness, c.keyRef())
			if err != nil {
				return err
			}
			change(&key.Status)
			return forger.Status().Update(c.ctx, key)
		}, waitTimeout, pollEvery).Should(gomega.Succeed(), "forge the status of %s", c)
	}
}

func forgeContent(s *v1alpha1.JWTRefreshKeyStatus, old, forged string) {
	s.Content = &apiextensionsv1.JSON{Raw: bytes.Replace(s.Content.Raw, []byte(old), []byte(forged), 1)}
}

// withoutForgery: the line is the operator's own again.
func withoutForgery(_ *crashCase, s *clusterState) error {
	line := s.line()
	if line.Content == nil || line.ExpiresAt == nil {
		return fmt.Errorf("the line is incomplete: %+v", line)
	}
	if content := string(line.Content.Raw); strings.Contains(content, forgery) || line.KeyID == forgery || line.TokenHash == token.Hash(forgery) {
		return fmt.Errorf("what was forged is in the line still: kid %s, %s, content %s", line.KeyID, line.TokenHash, content)
	}
	return nil
}
