<?php
// A front controller that takes its path from wherever front controllers take it.
$readings = [
    parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '',
    rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: ''),
    $_SERVER['PATH_INFO'] ?? '',
];
$protected = false;
foreach ($readings as $path) {
    $path = preg_replace('#^/index\.php(?=/)#', '', $path);
    $protected = $protected || preg_match('#^/mcp(/|$)#', $path);
}
echo $protected ? 'protected' : 'public';
