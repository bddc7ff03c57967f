/// Weft's own version.
public enum Version {
    /// What `--version` prints; numbered as semver.org says.
    public static let current = "0.1.0"
}
