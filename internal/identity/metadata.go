package identity

import (
	"context"
	"fmt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Metadata decodes the discovery document of a provider (OpenID Connect Discovery §3), whose issuer is that of the entry. It
// returns upstream.ErrUnavailable while the document is not known.
func (p *Providers) Metadata(ctx context.Context, entry *v1alpha1.OIDCProvider, into any) error {
	found, err := p.provider(entry)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	trusted, err := found.discovery.read(ctx)
	if err != nil {
		return unavailable(entry.IssuerURL, err)
	}
	if err := trusted.published.Claims(into); err != nil {
		return fmt.Errorf("%w: the metadata of %s cannot be read: %w", upstream.ErrUnavailable, entry.IssuerURL, err)
	}
	return nil
}
