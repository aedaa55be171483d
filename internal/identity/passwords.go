package identity

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// ErrTooMany says that somebody tries too often.
var ErrTooMany = errors.New("too many attempts")

const (
	// PasswordFile is the key of the Secret's data under which the htpasswd lines are.
	PasswordFile = "htpasswd"
	// MaxPassword is as much of a password as bcrypt looks at, in bytes. What is longer is refused,
	// since cutting it would make another password of it.
	MaxPassword = 72
	// longestUser is longer than any subject.
	longestUser = 255
	// maxBcryptCost bounds what one attempt can cost, at some 2.5 s of a core.
	maxBcryptCost = 15
	// readEvery is how long what was read of a Secret is believed.
	readEvery = 10 * time.Second
	// rememberedFiles bounds the Secrets whose lines are kept: an issuer names one, and may name others later.
	rememberedFiles = 256
	// triesOfUser and triesOfAddress are how many attempts there may be at once, and each may be made
	// again after its time.
	triesOfUser, triesOfAddress   = 5, 20
	againForUser, againForAddress = 12 * time.Second, 3 * time.Second
)

// Passwords tells who somebody is by a user name and a password, as the bcrypt lines of a
// Secret say.
type Passwords struct {
	clients   kubernetes.Interface
	namespace string
	clock     clock.PassiveClock
	// slots bounds the hashes under way: each keeps a core busy, and one core is left to exchanges.
	slots     chan struct{}
	ofUser    *Attempts
	ofAddress *Attempts
	flights   registry.Flights[*passwordFile]
	// remembered are the files that were read, by the name of their Secret.
	remembered *lru.Cache[string, *passwordFile]
}

type passwordFile struct {
	hashes map[string][]byte
	all    [][]byte
	at     time.Time
}

// NewPasswords makes Passwords, whose Secrets are in a namespace.
func NewPasswords(clients kubernetes.Interface, namespace string, clock clock.PassiveClock) (*Passwords, error) {
	ofUser, err := NewAttempts(triesOfUser, againForUser)
	if err != nil {
		return nil, err
	}
	ofAddress, err := NewAttempts(triesOfAddress, againForAddress)
	if err != nil {
		return nil, err
	}
	remembered, err := lru.New[string, *passwordFile](rememberedFiles)
	return &Passwords{
		clients: clients, namespace: namespace, clock: clock, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)),
		ofUser: ofUser, ofAddress: ofAddress, remembered: remembered,
	}, err
}

// Verify is nil where the password is the user's, ErrRefused where it is not or there is no
// such user, for which it takes the same time, and ErrTooMany where it is tried too often.
func (p *Passwords) Verify(ctx context.Context, secret, user, password, address string) error {
	if user == "" || len(user) > longestUser || password == "" || len(password) > MaxPassword {
		return ErrRefused
	}
	now := p.clock.Now()
	// What an address tries beyond its number does not count for the users: it would lock out whom it
	// names, and with enough names push out of memory how often a user was tried already.
	if !p.ofAddress.Allow(network(address), now) || !p.ofUser.Allow(secret+"\x00"+user, now) {
		return ErrTooMany
	}
	file, err := p.file(ctx, secret)
	if err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%w: too many passwords are checked at the same time: %w", registry.ErrUnavailable, ctx.Err())
	}
	hash, known := file.hashes[user]
	if !known {
		hash = file.decoyHash(user)
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !known {
		return ErrRefused
	}
	return nil
}

// network is whose tries are counted together: an IPv6 host has as many addresses as it likes of
// one /64.
func network(address string) string {
	at, err := netip.ParseAddr(address)
	if err != nil || at.Unmap().Is4() {
		return address
	}
	prefix, err := at.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// Known tells whether there is such a user.
func (p *Passwords) Known(ctx context.Context, secret, user string) (bool, error) {
	file, err := p.file(ctx, secret)
	if err != nil {
		return false, err
	}
	_, known := file.hashes[user]
	return known, nil
}

// stranger is the hash that somebody is held against who does not exist: always the same for
// a name, and as dear as one of the others.
func (f *passwordFile) decoyHash(user string) []byte {
	if len(f.all) == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(user))
	return f.all[binary.BigEndian.Uint64(sum[:8])%uint64(len(f.all))]
}

// file is what a Secret says. It is read once for all who wait for it, and each waits no longer
// than he likes to.
func (p *Passwords) file(ctx context.Context, name string) (*passwordFile, error) {
	file, known := p.remembered.Get(name)
	if known && p.clock.Since(file.at) < readEvery {
		return file, nil
	}
	return p.flights.Do(ctx, name, func(ctx context.Context) (*passwordFile, error) { return p.read(ctx, name) })
}

func (p *Passwords) read(ctx context.Context, name string) (*passwordFile, error) {
	at := p.clock.Now()
	secret, err := p.clients.CoreV1().Secrets(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{}
	} else if err != nil {
		return nil, fmt.Errorf("%w: the API server is unavailable: %w", registry.ErrUnavailable, err)
	}
	file := readHtpasswd(string(secret.Data[PasswordFile]))
	file.at = at
	p.remembered.Add(name, file)
	return file, nil
}

// readHtpasswd reads the lines that hold a bcrypt hash of a bearable cost; others are nobody's.
// Of two lines for one user the first counts, as it does for a web server.
func readHtpasswd(text string) *passwordFile {
	file := &passwordFile{hashes: map[string][]byte{}}
	for line := range strings.Lines(text) {
		user, hash, ok := strings.Cut(strings.TrimSpace(line), ":")
		cost, err := bcrypt.Cost([]byte(hash))
		if _, taken := file.hashes[user]; !ok || user == "" || taken || err != nil || cost > maxBcryptCost {
			continue
		}
		file.hashes[user] = []byte(hash)
		file.all = append(file.all, []byte(hash))
	}
	return file
}
