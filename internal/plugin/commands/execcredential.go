package commands

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// execInfo is the variable in which client-go passes its request to an exec credential plugin.
const execInfo = "KUBERNETES_EXEC_INFO"

func (c *app) getExecInfo() string { return c.Getenv(execInfo) }

// printExecCredential prints the access token in the requested API version. Both versions have these fields.
func (c *app) printExecCredential(info string, access *accessToken) error {
	requested := metav1.TypeMeta{Kind: "ExecCredential", APIVersion: clientauthv1.SchemeGroupVersion.String()}
	if info != "" {
		if err := json.Unmarshal([]byte(info), &requested); err != nil {
			return cli.UsageError("%s is not an ExecCredential", execInfo)
		}
	}
	switch requested.APIVersion {
	case "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1":
	default:
		return cli.UsageError("%s requests %s; only client.authentication.k8s.io/v1 and v1beta1 are supported", execInfo, requested.APIVersion)
	}
	credential := clientauthv1.ExecCredential{
		TypeMeta: requested,
		Status:   &clientauthv1.ExecCredentialStatus{Token: access.Token, ExpirationTimestamp: &metav1.Time{Time: access.ExpiresAt}},
	}
	raw, err := json.Marshal(credential)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, string(raw))
	return err
}
