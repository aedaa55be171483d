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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// forgeryTransitions are transitions in which another client wrote a token line to status. The operator
// does not sign a forged line. It issues a new token, and refuses every token of the earlier line. Ready is
// false until the Secret is written. The clock does not advance.
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
		name: "content that is invalid", writes: 3, refusesOld: true, want: outcome{advanced: 1, also: withoutForgery},
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
		// The hash shows that the token is genuine. Its content grants less than the forged content.
		name: "forged content with the true hash", writes: 3, want: outcome{advanced: 1, superseded: 1, also: withoutForgery},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { forgeContent(s, `{`, `{"scope":"`+forgery+`",`) }),
	},
	{
		name: "status wiped", writes: 1, want: outcome{also: sameToken},
		apply: forge(func(s *v1alpha1.JWTRefreshKeyStatus) { *s = v1alpha1.JWTRefreshKeyStatus{} }),
	},
}

const forgery = "forged"

// forge writes a status, which only the operator and an administrator of etcd can do.
func forge(change func(*v1alpha1.JWTRefreshKeyStatus)) func(*crashCase) {
	return func(c *crashCase) {
		forger, err := client.New(c.manager, client.Options{Scheme: controllers.Scheme()})
		c.Expect(err).NotTo(gomega.HaveOccurred())
		c.Eventually(func() error {
			key, err := harness.Get(c.Harness, c.keyRef())
			if err != nil {
				return err
			}
			change(&key.Status)
			return forger.Status().Update(c.Ctx, key)
		}).Should(gomega.Succeed(), "cannot forge the status of %s", c)
	}
}

func forgeContent(s *v1alpha1.JWTRefreshKeyStatus, old, forged string) {
	s.Content = &apiextensionsv1.JSON{Raw: bytes.Replace(s.Content.Raw, []byte(old), []byte(forged), 1)}
}

// withoutForgery checks that the token line is complete and contains nothing forged.
func withoutForgery(_ *crashCase, s *clusterState) error {
	line := s.line()
	if line.Content == nil || line.ExpiresAt == nil {
		return fmt.Errorf("the token line is incomplete: %+v", line)
	}
	if content := string(line.Content.Raw); strings.Contains(content, forgery) || line.KeyID == forgery || line.TokenHash == token.Hash(forgery) {
		return fmt.Errorf("the token line still has forged content: kid %s, hash %s, content %s", line.KeyID, line.TokenHash, content)
	}
	return nil
}
