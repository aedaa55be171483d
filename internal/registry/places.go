package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Place is the URL that a request was sent to, and the issuers that the request may be for. The zero value has no
// issuer.
type Place struct {
	// Host and Path are the request's, normalised for comparison.
	Host, Path string
	*placeIssuers
}

// placeIssuers are the issuers of a place.
type placeIssuers struct {
	// issuers are sorted by age, the oldest first.
	issuers []*Issuer
	// owner is the issuer that has this place as its url; nil if there is none, or more than one.
	owner  *Issuer
	owners int
}

func (r *placeIssuers) join(issuer *Issuer, owns bool) {
	if !slices.Contains(r.issuers, issuer) {
		r.issuers = append(r.issuers, issuer)
	}
	if !owns {
		return
	}
	if r.owners++; r.owners == 1 {
		r.owner = issuer
	} else {
		r.owner = nil
	}
}

// Issuers returns the issuers that a request at the place may be for, the oldest first.
func (p *Place) Issuers() []*Issuer {
	if p.placeIssuers == nil {
		return nil
	}
	return p.issuers
}

// Sole returns the only issuer of the place; nil if there are several, or none.
func (p *Place) Sole() *Issuer {
	if issuers := p.Issuers(); len(issuers) == 1 {
		return issuers[0]
	}
	return nil
}

// Owner returns the issuer of a request that does not name one: the one that has this place as its url, or the
// only one. It is nil if several issuers have the place as their endpointURL.
func (p *Place) Owner() *Issuer {
	if p.placeIssuers != nil && p.owner != nil {
		return p.owner
	}
	return p.Sole()
}

// Any returns one issuer of the place, for a request that none of its issuers accepts.
func (p *Place) Any() *Issuer {
	if owner := p.Owner(); owner != nil {
		return owner
	}
	return p.Issuers()[0]
}

// Named returns the issuer of the place with exactly that URL; nil if there is none.
func (p *Place) Named(url string) *Issuer {
	for _, issuer := range p.Issuers() {
		if issuer.URL == url {
			return issuer
		}
	}
	return nil
}

// Service is whether an issuer is served, at any place.
type Service int

// What can be known about an issuer.
const (
	// Unknown: the view contains no issuer with that URL.
	Unknown Service = iota
	// Served: the issuer is served, and its own endpoints exchange its tokens.
	Served
	// Unserved: the issuer is not served now, and may be served again. It is in conflict with another issuer, is
	// being deleted, or was deleted while its signing keys are kept.
	Unserved
)

// Directory is an index of all issuers by place. It is immutable.
type Directory struct {
	at map[endpoint.Location]*placeIssuers
	// byPath are the issuers of a path at any host; hosts are the issuers of a host.
	byPath map[string]*placeIssuers
	hosts  map[string][]*Issuer
	// byURL are the served issuers, and unserved the URLs of the others.
	byURL    map[string]*Issuer
	unserved map[string]bool
	// orphans are the kids of the signing keys of issuers that do not exist or are not served.
	orphans map[string]bool
}

// NewDirectory returns the Directory of the issuers; keys holds the Secrets with signing keys by the name of the
// issuer. For issuers in conflict it leaves out the same ones as the operator.
func NewDirectory(issuers []*v1alpha1.JWTIssuer, operatorNamespace string, keys map[string]*corev1.Secret) *Directory {
	d := &Directory{
		at: map[endpoint.Location]*placeIssuers{}, byPath: map[string]*placeIssuers{}, hosts: map[string][]*Issuer{},
		byURL: map[string]*Issuer{}, unserved: map[string]bool{}, orphans: map[string]bool{},
	}
	conflicts, served := endpoint.Conflicts(issuers), map[string]bool{}
	for _, issuer := range endpoint.ByAge(issuers) {
		if issuer.DeletionTimestamp != nil || conflicts[issuer.Name].Unserved {
			d.unserved[issuer.Spec.URL] = true
			continue
		}
		served[issuer.Name] = true
		d.add(issuerOf(issuer, operatorNamespace, keys[issuer.Name]), endpoint.Locations(issuer))
	}
	for name, secret := range keys {
		if !served[name] {
			d.keep(secret)
		}
	}
	return d
}

func (d *Directory) add(issuer *Issuer, locations []endpoint.Location) {
	d.byURL[issuer.URL] = issuer
	for i, location := range locations {
		issuersAt(d.at, location).join(issuer, i == 0)
		issuersAt(d.byPath, location.Path).join(issuer, i == 0)
		if !slices.Contains(d.hosts[location.Host], issuer) {
			d.hosts[location.Host] = append(d.hosts[location.Host], issuer)
		}
	}
}

func issuersAt[K comparable](places map[K]*placeIssuers, at K) *placeIssuers {
	if places[at] == nil {
		places[at] = &placeIssuers{}
	}
	return places[at]
}

// At returns the place of a request. If no issuer has both its host and its path, the path alone decides, since
// proxies and port-forwards use other hosts. That does not apply to a host of other issuers.
func (d *Directory) At(path, host string) Place {
	location := endpoint.At(host, path)
	place := Place{Host: location.Host, Path: path, placeIssuers: d.at[location]}
	if place.placeIssuers != nil {
		return place
	}
	under, known := d.byPath[path], d.hosts[location.Host]
	if under == nil || len(known) == 0 {
		place.placeIssuers = under
		return place
	}
	here := &placeIssuers{}
	for _, issuer := range under.issuers {
		if slices.Contains(known, issuer) {
			here.join(issuer, issuer == under.owner)
		}
	}
	place.placeIssuers = here
	return place
}

// ServiceOf returns whether the issuer with a URL is served. The kid of the token distinguishes issuers that have
// had the same URL.
func (d *Directory) ServiceOf(url, kid string) Service {
	issuer := d.byURL[url]
	switch {
	case issuer != nil && (!d.orphans[kid] || issuer.signs(kid)):
		return Served
	case d.unserved[url] || d.orphans[kid]:
		return Unserved
	default:
		return Unknown
	}
}

// Issuer returns the served issuer with a URL; nil if there is none.
func (d *Directory) Issuer(url string) *Issuer { return d.byURL[url] }

// keep records the kids of an issuer that does not exist or is not served.
func (d *Directory) keep(secret *corev1.Secret) {
	rings, err := keyring.Decode(secret.Data)
	if err != nil {
		return
	}
	for _, key := range rings.Keys() {
		d.orphans[key.ID] = true
	}
}
