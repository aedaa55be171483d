package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func line(t *testing.T, user, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

func TestReadHtpasswd(t *testing.T) {
	jane := line(t, "jane", "one", bcrypt.MinCost)
	file := readHtpasswd("# people\n\n" + jane + line(t, "jane", "two", bcrypt.MinCost) + "john:{SHA}abc\nno line\n:x\n" +
		strings.Replace(jane, "$2a$04$", "$2a$16$", 1) + strings.Replace(jane, "jane:$2a$", "joan:$2y$", 1))
	if len(file.hashes) != 2 || len(file.all) != 2 {
		t.Fatalf("%d users, want jane and joan", len(file.hashes))
	}
	for user, password := range map[string]string{"jane": "one", "joan": "one"} {
		if bcrypt.CompareHashAndPassword(file.hashes[user], []byte(password)) != nil {
			t.Errorf("the password of %s is refused", user)
		}
	}
}

// TestUnknownUsersGetADecoyHash checks that an unknown user's password is compared with the hash of one of the known
// users, always the same for a name.
func TestUnknownUsersGetADecoyHash(t *testing.T) {
	file := readHtpasswd(line(t, "jane", "one", 4) + line(t, "john", "two", 5))
	seen := map[int]bool{}
	for i := range 64 {
		name := fmt.Sprint("unknown-", i)
		once, again := file.decoyHash(name), file.decoyHash(name)
		cost, err := bcrypt.Cost(once)
		if err != nil || string(once) != string(again) {
			t.Fatalf("%s: %v", name, err)
		}
		seen[cost] = true
	}
	if !seen[4] || !seen[5] || len(seen) != 2 {
		t.Errorf("unknown users have the costs %v, and known users 4 and 5", seen)
	}
}

func TestAttempts(t *testing.T) {
	attempts, err := NewAttempts(3, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if !attempts.Allow("jane", noon) {
			t.Fatalf("attempt %d is one too many", i+1)
		}
	}
	for _, c := range []struct {
		name, who string
		after     time.Duration
		want      bool
	}{
		{"a fourth at once", "jane", 0, false},
		{"another user", "john", 0, true},
		{"before its time", "jane", 59 * time.Second, false},
		{"one more after it", "jane", time.Minute, true},
		{"and no other one", "jane", time.Minute, false},
		{"after a long time", "jane", time.Hour, true},
	} {
		if got := attempts.Allow(c.who, noon.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
