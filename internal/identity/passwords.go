package identity

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// ErrTooMany is returned for a user or an address with too many attempts.
var ErrTooMany = errors.New("too many attempts")

const (
	// PasswordFile is the entry of the Secret's data that contains the htpasswd lines.
	PasswordFile = "htpasswd"
	// MaxPassword is the longest password that bcrypt reads, in bytes. A longer password is refused, since
	// truncation would change it.
	MaxPassword = 72
	// longestUser is longer than any subject, in bytes.
	longestUser = 255
	// maxBcryptCost bounds the cost of one attempt, to about 2.5 s of a core.
	maxBcryptCost = 15
	// readEvery is how long the content of a Secret is cached.
	readEvery = 10 * time.Second
	// rememberedFiles is the maximum number of cached Secrets.
	rememberedFiles = 256
	// triesOfUser is the burst of attempts for one user; againForUser is the time after which one more attempt is allowed.
	triesOfUser  = 5
	againForUser = 12 * time.Second
	// mostQueued is how many attempts wait for a slot at most.
	mostQueued = 32
)

// Passwords verifies user names and passwords against the bcrypt lines of Secrets.
type Passwords struct {
	clients   kubernetes.Interface
	namespace string
	clock     clock.PassiveClock
	// slots bounds the concurrent bcrypt checks: each uses a core, and one core remains for exchanges.
	slots chan struct{}
	// waiting bounds the attempts that wait for a slot or hold one.
	waiting   chan struct{}
	ofUser    *Attempts
	ofAddress *AddressAttempts
	flights   upstream.Flights[*passwordFile]
	// remembered caches the files by the name of their Secret.
	remembered *memo.Memo[string, *passwordFile]
}

type passwordFile struct {
	hashes map[string][]byte
	all    [][]byte
}

// NewPasswords returns a Passwords that reads Secrets of the namespace.
func NewPasswords(clients kubernetes.Interface, namespace string, clock clock.PassiveClock) (*Passwords, error) {
	ofUser, err := NewAttempts(triesOfUser, againForUser)
	if err != nil {
		return nil, err
	}
	ofAddress, err := NewAddressAttempts()
	if err != nil {
		return nil, err
	}
	slots := max(1, runtime.GOMAXPROCS(0)-1)
	return &Passwords{
		clients: clients, namespace: namespace, clock: clock, slots: make(chan struct{}, slots), waiting: make(chan struct{}, slots+mostQueued),
		ofUser: ofUser, ofAddress: ofAddress, remembered: memo.New[string, *passwordFile](rememberedFiles, clock),
	}, nil
}

// Verify returns nil if the password is the user's. It returns ErrRefused for a wrong password and for an unknown
// user, after the same time, and ErrTooMany after too many attempts.
func (p *Passwords) Verify(ctx context.Context, secret, user, password, address string) error {
	if user == "" || len(user) > longestUser || password == "" || len(password) > MaxPassword {
		return ErrRefused
	}
	now := p.clock.Now()
	// An attempt that exceeds the limit of its address does not count for the user. Otherwise one address could
	// lock users out, and could evict the counts of other users by trying many names.
	if !p.ofAddress.Allow(address, now) || !p.ofUser.Allow(secret+"\x00"+user, now) {
		return ErrTooMany
	}
	file, err := p.file(ctx, secret)
	if err != nil {
		return err
	}
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return ErrTooMany
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%w: too many passwords are checked at the same time: %w", upstream.ErrUnavailable, ctx.Err())
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

// Known reports whether the Secret has a line for the user.
func (p *Passwords) Known(ctx context.Context, secret, user string) (bool, error) {
	file, err := p.file(ctx, secret)
	if err != nil {
		return false, err
	}
	_, known := file.hashes[user]
	return known, nil
}

// decoyHash returns the hash that a password of an unknown user is compared with, so that the refusal takes as
// long as for a known user. It is always the same for a name.
func (f *passwordFile) decoyHash(user string) []byte {
	if len(f.all) == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(user))
	return f.all[binary.BigEndian.Uint64(sum[:8])%uint64(len(f.all))]
}

// file returns the lines of a Secret. Concurrent callers share one read, and each waits until its own context ends
// at the latest.
func (p *Passwords) file(ctx context.Context, name string) (*passwordFile, error) {
	if file, known := p.remembered.Get(name); known {
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
		return nil, upstream.NoAPIServer(err)
	}
	file := readHtpasswd(string(secret.Data[PasswordFile]))
	p.remembered.Put(name, file, at.Add(readEvery))
	return file, nil
}

// readHtpasswd returns the lines that contain a bcrypt hash of at most maxBcryptCost, and ignores other lines. The
// first of two lines for one user counts, as it does for web servers.
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
