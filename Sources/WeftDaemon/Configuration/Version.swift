/// Which Weft this is, and which flannel it stands in for.
public enum Version {
    /// Weft's own, numbered as semver.org says.
    public static let current = "0.1.0"
    /// The newest flannel whose flags and registry it knows.
    public static let flannel = "0.28.9"
    /// What `--version` prints: one word, and by itself a version of flannel's, for scripts that compare with it; the
    /// build's part (semver.org, 10) tells Weft.
    public static let line = "v\(flannel)+weft.\(current)"
}
