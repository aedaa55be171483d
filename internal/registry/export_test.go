package registry

// NewOver is newCluster, for tests that run the contract of package registrytest, which imports this package.
var NewOver = newCluster
